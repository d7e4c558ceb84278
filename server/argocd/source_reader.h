// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_ARGOCD_SOURCE_READER_H_
#define GANTRY_SERVER_ARGOCD_SOURCE_READER_H_

#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "server/argocd/application.h"
#include "server/argocd/json_walker.h"

namespace gantry::argocd {

// What two fields say together: the list, or where that is empty, the single one.
template <typename T>
std::vector<T> ListOr(std::vector<T> list, std::optional<T> single) {
  if (list.empty() && single) list.push_back(*std::move(single));
  return list;
}

// Reads the members `sources` and `source` of an object that has both: a spec, what was compared,
// what was synced. Most are written as the spec is, and need not be read again for it. Lives as
// long as the read of the document, whose text it points into; one thread.
class SourcesReader {
 public:
  // `spec` is the reader of the spec, which has been read before; null: there is none.
  explicit SourcesReader(const SourcesReader* spec) : spec_(spec) {}

  // False: another member.
  bool Read(JsonWalker& read, std::string_view key, JsonWalker::Value member);
  bool has_list() const { return !list_.empty(); }
  // The list, or where it is empty, the single source.
  Sources Get() const;

 private:
  void ReadList(JsonWalker& read, JsonWalker::Value member);
  void ReadSingle(JsonWalker& read, JsonWalker::Value member);

  const SourcesReader* const spec_;
  // JSON texts of `sources` and `source`.
  std::string_view text_of_list_;
  std::string_view text_of_single_;
  std::vector<Source> list_;
  std::optional<Source> single_;
};

}  // namespace gantry::argocd

#endif  // GANTRY_SERVER_ARGOCD_SOURCE_READER_H_
