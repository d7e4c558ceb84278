// SPDX-License-Identifier: Apache-2.0
#include "server/service/request_log.h"

#include <string>

#include "server/service/text.h"

namespace gantry::service {
namespace {

using observability::Logger;

// Names are at most this long; in a request that was refused they may be anything.
constexpr std::size_t kMaxNameBytes = 253;

std::string Name(const std::string& name) { return Presentable(name, kMaxNameBytes); }

template <typename Request>
Logger WithStage(const Logger& log, const Request& request) {
  return log.With({{"project", Name(request.project())}, {"stage", Name(request.stage())}});
}

}  // namespace

Logger WithNames(const Logger& log, const v1::RunStepRequest& request) {
  return WithStage(log, request)
      .With({{"promotion", Name(request.promotion())}, {"step", Name(request.step())}});
}

Logger WithNames(const Logger& log, const v1::GetStageHealthRequest& request) {
  return WithStage(log, request);
}

Logger WithNames(const Logger& log, const v1::ListStageHealthRequest& /*request*/) { return log; }

Logger WithNames(const Logger& log, const v1::WatchStageHealthRequest& request) {
  return WithStage(log, request);
}

Logger WithNames(const Logger& log, const v1::ReportPromotionRequest& request) {
  return WithStage(log, request).With({{"promotion", Name(request.promotion())}});
}

Logger WithNames(const Logger& log, const v1::ReportIndicatorRequest& request) {
  return WithStage(log, request).With({{"indicator", Name(request.name())}});
}

Logger WithNames(const Logger& log, const v1::ListStepKindsRequest& /*request*/) { return log; }

}  // namespace gantry::service
