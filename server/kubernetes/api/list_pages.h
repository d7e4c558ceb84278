// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_SERVER_KUBERNETES_API_LIST_PAGES_H_
#define GANTRY_SERVER_KUBERNETES_API_LIST_PAGES_H_

#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/kubernetes/api/api_request.h"
#include "server/kubernetes/api/object_splitter.h"

namespace gantry::kubernetes {

// The one way in which this program reads a list from page to page. How a page is read is the
// caller's, and so is what happens to its items.
struct ListPages {
  // Without `limit` and `continue`.
  ApiTarget target;
  // Zero or less: the list is read whole.
  int page_size = 0;
};

// Calls `read_page` with the target of one page after the other (`whole`: it is of the whole list)
// and returns the resourceVersion of the last one. When a later page has expired, the snapshot that
// the pages are cut from is gone, and another list in pages would run into the same: the list is
// read again whole, after a call of `on_restart`. Other errors are those of `read_page`, or
// kMalformedResponse for a list that continues with the same page for ever.
absl::StatusOr<std::string> ReadPages(
    const ListPages& list,
    absl::FunctionRef<absl::StatusOr<ListMetadata>(const ApiTarget& target, bool whole)> read_page,
    absl::FunctionRef<void(const absl::Status& why)> on_restart);

}  // namespace gantry::kubernetes

#endif  // GANTRY_SERVER_KUBERNETES_API_LIST_PAGES_H_
