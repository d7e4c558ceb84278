// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_TESTS_SIMULATOR_API_STATUS_H_
#define GANTRY_TESTS_SIMULATOR_API_STATUS_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace gantry::simulator {

// A resource as error messages name it: "applications.argoproj.io", or "namespaces" in the core
// group. With a kind in place of the plural: "Application.argoproj.io".
struct QualifiedName {
  std::string group;
  std::string name;
  std::string Text() const { return group.empty() ? name : name + "." + group; }
};

// One reason why an object is invalid. `reason`: "FieldValueInvalid", ...
struct Cause {
  std::string reason;
  std::string message;
  std::string field;
};

// What the API server says instead of an answer: a `Status` object, or plain text for a path that
// nothing is served at.
struct ApiError {
  int code = 500;
  nlohmann::json body;    // the Status; null: `text` is sent
  std::string text = {};  // plain text
  int retry_after = 0;    // seconds; 0: none
};

// A value, or what the API server says instead.
template <typename T>
class Result {
 public:
  Result(T value) : content_(std::move(value)) {}         // NOLINT: converts as StatusOr does
  Result(ApiError error) : content_(std::move(error)) {}  // NOLINT
  bool ok() const { return std::holds_alternative<T>(content_); }
  T& operator*() { return std::get<T>(content_); }
  const T& operator*() const { return std::get<T>(content_); }
  T* operator->() { return &std::get<T>(content_); }
  const T* operator->() const { return &std::get<T>(content_); }
  const ApiError& error() const { return std::get<ApiError>(content_); }

 private:
  std::variant<T, ApiError> content_;
};

// The messages below are those of kube-apiserver 1.34, to the letter.
ApiError MakeError(int code, const std::string& reason, const std::string& message,
                   nlohmann::json details = nullptr);
// An error that has no reason of its own: 500 and a message.
ApiError InternalMessage(const std::string& message);
ApiError BadRequest(const std::string& message);
ApiError Unauthorized();
ApiError NotFound(const QualifiedName& resource, const std::string& name);
// Nothing is served at this path: of a group that the server itself has, and elsewhere.
ApiError NoSuchResource();
ApiError PageNotFound();
ApiError AlreadyExists(const QualifiedName& resource, const std::string& name);
ApiError Conflict(const QualifiedName& resource, const std::string& name,
                  const std::string& message);
// The object is not at the resourceVersion that the request names.
ApiError Modified(const QualifiedName& resource, const std::string& name);
ApiError Invalid(const QualifiedName& kind, const std::string& name,
                 const std::vector<Cause>& causes);
// A JSON patch that cannot be applied.
ApiError PatchRejected();
ApiError MethodNotAllowed();
ApiError VerbNotSupported(const QualifiedName& resource, const std::string& verb);
ApiError UnsupportedMediaType(const std::string& accepted);
ApiError NotAcceptable();
ApiError EntityTooLarge(std::size_t limit);
ApiError Expired(const std::string& message);
ApiError TooLargeResourceVersion(std::uint64_t asked, std::uint64_t current);
ApiError Forbidden(const QualifiedName& resource, const std::string& name,
                   const std::string& message);

}  // namespace gantry::simulator

#endif  // GANTRY_TESTS_SIMULATOR_API_STATUS_H_
