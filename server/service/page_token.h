// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_SERVICE_PAGE_TOKEN_H_
#define GANTRY_SERVER_SERVICE_PAGE_TOKEN_H_

#include <optional>
#include <string>
#include <string_view>

#include "server/cache/stage_cache.h"

namespace gantry::service {

// Where a list goes on: behind the last Stage of the page before, whether or not that is still
// there. So Stages that come and go in between neither repeat nor hide others, and any replica
// understands it. Letters, digits, '-' and '_'.
std::string MakePageToken(const cache::StageName& last);
// Nothing when it is not one that MakePageToken made.
std::optional<cache::StageName> ReadPageToken(std::string_view token);

}  // namespace gantry::service

#endif  // GANTRY_SERVER_SERVICE_PAGE_TOKEN_H_
