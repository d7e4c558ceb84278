// SPDX-License-Identifier: Apache-2.0
#include "server/kubernetes/api/list_pages.h"

#include <utility>

#include "base/strings.h"
#include "server/kubernetes/api/error.h"
#include "server/kubernetes/api/response_error.h"

namespace gantry::kubernetes {

absl::StatusOr<std::string> ReadPages(
    const ListPages& list,
    absl::FunctionRef<absl::StatusOr<ListMetadata>(const ApiTarget& target, bool whole)> read_page,
    absl::FunctionRef<void(const absl::Status& why)> on_restart) {
  bool whole = list.page_size <= 0;
  std::string continue_token;
  while (true) {
    ApiTarget target = list.target;
    if (!whole) target.query.emplace_back("limit", base::StrCat(list.page_size));
    if (!continue_token.empty()) target.query.emplace_back("continue", continue_token);
    absl::StatusOr<ListMetadata> page = read_page(target, whole);
    if (!page.ok()) {
      if (continue_token.empty() || KindOf(page.status()) != ErrorKind::kExpired) {
        return page.status();
      }
      whole = true;
      continue_token.clear();
      on_restart(page.status());
      continue;
    }
    if (page->continue_token.empty()) return std::move(page->resource_version);
    if (page->continue_token == continue_token) {
      return MalformedStream(target, "continues with the same page for ever");
    }
    continue_token = std::move(page->continue_token);
  }
}

}  // namespace gantry::kubernetes
