// SPDX-License-Identifier: Apache-2.0
#include "tests/simulator/api_server.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "base/strings.h"
#include "tests/simulator/reviews.h"

namespace gantry::simulator {

using base::StrCat;
using nlohmann::json;
using SteadyClock = std::chrono::steady_clock;

namespace {

constexpr char kJson[] = "application/json";
constexpr std::size_t kMaxBody = 3 * 1024 * 1024;
// Larger lists are sent in pieces of about this size.
constexpr std::size_t kPiece = 64 * 1024;
constexpr std::chrono::minutes kDefaultWatchTime{45};
// How often a watch looks whether its client is still there.
constexpr std::chrono::milliseconds kLookInterval{500};
constexpr char kListExpired[] = "The resourceVersion for the provided list is too old.";
constexpr char kContinueExpired[] =
    "The provided continue parameter is too old to display a consistent list result. You can start "
    "a new list without the continue parameter, or use the continue token in this response to "
    "retrieve the remainder of the results. Continuing with the provided token results in an "
    "inconsistent list - objects that were created, modified, or deleted between the time the "
    "first chunk was returned and now may show up in the list.";

std::string Text(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

void RespondError(HttpAnswer& answer, const ApiError& error) {
  std::string headers;
  if (error.retry_after > 0) headers = StrCat("Retry-After: ", error.retry_after, "\r\n");
  if (error.body.is_null()) {
    answer.Respond(error.code, "text/plain; charset=utf-8", error.text, headers);
  } else {
    answer.Respond(error.code, kJson, Text(error.body), headers);
  }
}

std::string Parameter(const HttpRequest& request, const char* name) {
  for (const auto& [key, value] : QueryParameters(request.query)) {
    if (key == name) return value;
  }
  return "";
}

std::string VerbOf(const HttpRequest& request, bool named) {
  if (request.method == "GET" || request.method == "HEAD") {
    if (named) return "get";
    for (const auto& [key, value] : QueryParameters(request.query)) {
      if (key == "watch" && value != "false" && value != "0") return "watch";
    }
    return "list";
  }
  if (request.method == "POST") return "create";
  if (request.method == "PUT") return "update";
  if (request.method == "PATCH") return "patch";
  if (request.method == "DELETE") return named ? "delete" : "deletecollection";
  return absl::AsciiStrToLower(request.method);
}

std::string ForbiddenMessage(const User& user, const Attributes& attributes) {
  const std::string resource = attributes.subresource.empty()
                                   ? attributes.resource
                                   : StrCat(attributes.resource, "/", attributes.subresource);
  return StrCat("User \"", user.name, "\" cannot ", attributes.verb, " resource \"", resource,
                "\" in API group \"", attributes.group, "\" ",
                attributes.ns.empty() ? std::string("at the cluster scope")
                                      : StrCat("in the namespace \"", attributes.ns, "\""));
}

// The user that the request is made for: its own, or the one that it names and may play.
Result<User> Impersonate(const HttpRequest& request, const User& user, const Rbac& rbac) {
  const std::string name = request.Header("Impersonate-User");
  if (name.empty()) return user;
  const auto check = [&](const char* resource, const std::string& wanted) {
    Attributes attributes;
    attributes.verb = "impersonate";
    attributes.resource = resource;
    attributes.name = wanted;
    return rbac.Decide(user, attributes).allowed
               ? std::optional<ApiError>()
               : Forbidden({"", resource}, wanted, ForbiddenMessage(user, attributes));
  };
  if (const auto error = check("users", name)) return *error;
  User played{name, "", {}};
  for (const auto& [key, value] : request.headers) {
    if (!absl::EqualsIgnoreCase(key, "Impersonate-Group")) continue;
    if (const auto error = check("groups", value)) return *error;
    played.groups.push_back(value);
  }
  played.groups.push_back("system:authenticated");
  return played;
}

std::string MessageOf(int code) {
  switch (code) {
    case 429:
      return "Too many requests, please try again later.";
    case 503:
      return "the server is currently unable to handle the request";
    case 504:
      return "Timeout: request did not complete within the allotted timeout";
    default:
      return "an error made by gantry-sim because it was told to";
  }
}

std::string ReasonOf(int code) {
  static const std::map<int, std::string>& reasons =
      *new std::map<int, std::string>{{400, "BadRequest"},
                                      {401, "Unauthorized"},
                                      {403, "Forbidden"},
                                      {404, "NotFound"},
                                      {409, "Conflict"},
                                      {410, "Expired"},
                                      {413, "RequestEntityTooLarge"},
                                      {422, "Invalid"},
                                      {429, "TooManyRequests"},
                                      {500, "InternalError"},
                                      {503, "ServiceUnavailable"},
                                      {504, "Timeout"}};
  const auto found = reasons.find(code);
  return found == reasons.end() ? "" : found->second;
}

// Before "," and after "}" of the objects that a watch sends.
std::string EventLine(const char* type, std::string_view object) {
  return StrCat("{\"type\":\"", type, "\",\"object\":", object, "}\n");
}

bool Selected(const ListOptions& options, const Entry& entry) {
  return (options.labels.empty() || options.labels.Matches(entry.labels)) &&
         (options.fields.empty() || options.fields.Matches(entry.fields));
}

}  // namespace

RequestInfo InfoOf(const HttpRequest& request) {
  RequestInfo info;
  Attributes& attributes = info.attributes;
  std::vector<std::string> parts;
  for (const absl::string_view part : absl::StrSplit(request.path, '/', absl::SkipEmpty())) {
    parts.push_back(PercentDecoded(base::ToStd(part), false));
  }
  const auto no_resource = [&] {
    attributes = {};
    attributes.verb = absl::AsciiStrToLower(request.method);
    attributes.path = request.path;
    return info;
  };
  std::size_t at = 0;
  if (parts.size() >= 3 && parts[0] == "api") {
    info.version = parts[1];
    at = 2;
  } else if (parts.size() >= 4 && parts[0] == "apis") {
    attributes.group = parts[1];
    info.version = parts[2];
    at = 3;
  } else {
    return no_resource();
  }
  if (parts[at] == "watch") {
    info.named_watch_path = true;
    if (++at == parts.size()) return no_resource();
  }
  if (parts[at] == "namespaces" && parts.size() > at + 1) {
    attributes.ns = parts[at + 1];
    const bool own =
        parts.size() == at + 2 || parts[at + 2] == "status" || parts[at + 2] == "finalize";
    if (!own) at += 2;
  }
  attributes.resource = parts[at];
  if (parts.size() > at + 1) attributes.name = parts[at + 1];
  if (parts.size() > at + 2) attributes.subresource = parts[at + 2];
  attributes.verb = info.named_watch_path ? "watch" : VerbOf(request, !attributes.name.empty());
  return info;
}

Result<User> Authenticate(const HttpRequest& request, const Tokens& tokens) {
  User user;
  const std::string header = request.Header("Authorization");
  if (absl::StartsWithIgnoreCase(header, "bearer ")) {
    const auto found = tokens.find(std::string(absl::StripAsciiWhitespace(header.substr(7))));
    if (found == tokens.end()) return Unauthorized();
    user = found->second;
  } else if (!header.empty()) {
    return Unauthorized();
  } else if (!request.peer_name.empty()) {
    user = {request.peer_name, "", request.peer_organizations};
  } else {
    return User{"system:anonymous", "", {"system:unauthenticated"}};
  }
  user.groups.push_back("system:authenticated");
  return user;
}

void ApiServer::Handle(const HttpRequest& request, HttpAnswer& answer) {
  const RequestInfo info = InfoOf(request);
  if (info.attributes.path.empty()) {
    if (const std::optional<Fault> fault = faults_.TakeForRequest(info.attributes)) {
      switch (fault->action) {
        case Fault::Action::kDelay:
          if (!answer.Linger(fault->delay)) return answer.Abort();
          break;
        case Fault::Action::kDropBefore:
          return answer.Abort();
        case Fault::Action::kDropAfter:
          answer.Lose(HttpAnswer::Loss::kAll);
          break;
        case Fault::Action::kHalf:
          answer.Lose(HttpAnswer::Loss::kHalf);
          break;
        case Fault::Action::kError: {
          ApiError error =
              MakeError(fault->code, ReasonOf(fault->code),
                        fault->message.empty() ? MessageOf(fault->code) : fault->message);
          error.retry_after = fault->retry_after;
          return RespondError(answer, error);
        }
      }
    }
  }
  Result<User> user = Authenticate(request, tokens_);
  if (!user.ok()) return RespondError(answer, user.error());
  user = Impersonate(request, *user, rbac_);
  if (!user.ok()) return RespondError(answer, user.error());
  const Decision decision = rbac_.Decide(*user, info.attributes);
  const Attributes& attributes = info.attributes;
  if (!attributes.path.empty()) {
    if (!decision.allowed) {
      return RespondError(
          answer, MakeError(403, "Forbidden",
                            StrCat("forbidden: User \"", user->name, "\" cannot ", attributes.verb,
                                   " path \"", attributes.path, "\""),
                            json::object()));
    }
    return HandlePath(info, answer);
  }
  if (!decision.allowed) {
    return RespondError(answer, Forbidden({attributes.group, attributes.resource}, attributes.name,
                                          ForbiddenMessage(*user, attributes)));
  }
  HandleResource(request, info, *user, answer);
}

void ApiServer::HandlePath(const RequestInfo& info, HttpAnswer& answer) {
  const std::string& path = info.attributes.path;
  if (path == "/healthz" || path == "/livez" || path == "/readyz") {
    return answer.Respond(200, "text/plain; charset=utf-8", "ok");
  }
  if (path == "/version" || path == "/version/") {
    return answer.Respond(200, kJson,
                          Text({{"major", "1"},
                                {"minor", "34"},
                                {"gitVersion", "v1.34.0-gantry-sim"},
                                {"gitCommit", ""},
                                {"gitTreeState", "archive"},
                                {"buildDate", "1970-01-01T00:00:00Z"},
                                {"goVersion", "none: this is a simulator"},
                                {"compiler", "none"},
                                {"platform", "linux/amd64"}}));
  }
  const std::vector<ResourcePtr> all = resources_.All();
  json document = nullptr;
  const std::vector<std::string> parts = absl::StrSplit(path, '/', absl::SkipEmpty());
  if (parts == std::vector<std::string>{"api"}) {
    document = CoreVersions(options_.address);
  } else if (parts == std::vector<std::string>{"apis"}) {
    document = GroupList(all);
  } else if (parts.size() == 2 && parts[0] == "api") {
    document = ResourceList(all, "", parts[1]);
  } else if (parts.size() == 2 && parts[0] == "apis") {
    document = Group(all, parts[1]);
  } else if (parts.size() == 3 && parts[0] == "apis") {
    document = ResourceList(all, parts[1], parts[2]);
  } else if (path == "/openapi/v3") {
    document = OpenApiIndex(all);
  } else if (absl::StartsWith(path, "/openapi/v3/")) {
    document = OpenApiDocument(all, path.substr(std::string("/openapi/v3/").size()));
  }
  if (document.is_null()) return RespondError(answer, PageNotFound());
  answer.Respond(200, kJson, Text(document));
}

void ApiServer::HandleResource(const HttpRequest& request, const RequestInfo& info,
                               const User& user, HttpAnswer& answer) {
  const Attributes& attributes = info.attributes;
  const auto missing = [&] {
    RespondError(answer,
                 resources_.IsBuiltInGroup(attributes.group) ? NoSuchResource() : PageNotFound());
  };
  const ResourcePtr resource = resources_.Find(attributes.group, info.version, attributes.resource);
  if (!resource) return missing();
  const bool of_namespace = !resource->namespaced;
  // A namespaced object without a namespace, or the other way round.
  if (resource->namespaced && attributes.ns.empty() &&
      (!attributes.name.empty() || attributes.verb == "create")) {
    return missing();
  }
  if (of_namespace && !attributes.ns.empty() && resource->plural != "namespaces") return missing();
  if (request.body_too_large) return RespondError(answer, EntityTooLarge(kMaxBody));
  if (NestsTooDeep(request.body)) {
    return RespondError(answer, BadRequest(StrCat("exceeded max depth: the body nests deeper than ",
                                                  kMaxDepth, " levels")));
  }
  const Result<Form> form = FormOf(request.Header("Accept"));
  if (!form.ok()) return RespondError(answer, form.error());
  const Call call{
      request, info, user, resource, *form, answer, Parameter(request, "dryRun") == "All"};

  if (resource->review && attributes.verb != "create") {
    return RespondError(answer, MethodNotAllowed());
  }
  if (!attributes.subresource.empty()) {
    const bool status = attributes.subresource == "status" && resource->has_status;
    if (!status) {
      return RespondError(answer, resource->custom ? NotFound(resource->name(), attributes.name)
                                                   : NoSuchResource());
    }
    if (attributes.verb == "create" || attributes.verb == "delete") {
      return RespondError(answer, VerbNotSupported(resource->name(), attributes.verb));
    }
  }
  if (attributes.verb == "get") return Get(call);
  if (attributes.verb == "deletecollection") return DeleteCollection(call);
  if (attributes.verb == "list" || attributes.verb == "watch") {
    Result<ListOptions> options =
        ListOptions::Parse(request.query, *resource, !options_.refuse_initial_events);
    if (!options.ok()) return RespondError(answer, options.error());
    if (attributes.verb == "list") return List(call);
    return Watch(call, *options);
  }
  // Whoever has been cut off is told nothing, so nothing may become of it later either.
  if (!answer.IsAwaited()) return answer.Abort();
  const Result<Written> written = Write(call);
  if (!written.ok()) return RespondError(answer, written.error());
  answer.Respond(written->code, kJson, written->body);
}

Result<Written> ApiServer::Write(const Call& call) {
  const Attributes& attributes = call.info.attributes;
  const Resource& resource = *call.resource;
  const std::string ns = resource.namespaced ? attributes.ns : std::string();
  const std::string content_type = call.request.Header("Content-Type");
  const bool status = !attributes.subresource.empty();
  if (attributes.verb == "patch") {
    if (attributes.name.empty()) {
      return resource.custom ? BadRequest("name must be provided") : MethodNotAllowed();
    }
    return writer_.Patch(resource, ns, attributes.name, call.request.body, content_type, status,
                         call.dry_run);
  }
  if (attributes.verb == "delete") {
    DeleteOptions options;
    options.propagation_policy = Parameter(call.request, "propagationPolicy");
    if (!call.request.body.empty()) {
      const json body = json::parse(call.request.body, nullptr, false);
      if (body.is_discarded()) {
        return InternalMessage(
            "couldn't get version/kind; json parse error: unexpected end of JSON input");
      }
      if (body.is_object()) {
        if (const auto found = body.find("preconditions");
            found != body.end() && found->is_object()) {
          options.uid = TextAt(*found, "uid");
          options.resource_version = TextAt(*found, "resourceVersion");
        }
        const std::string policy = TextAt(body, "propagationPolicy");
        if (!policy.empty()) options.propagation_policy = policy;
      }
    }
    return writer_.Delete(resource, ns, attributes.name, options, call.dry_run);
  }
  if (attributes.verb != "create" && attributes.verb != "update") return MethodNotAllowed();
  if (attributes.verb == "update" && attributes.name.empty()) {
    return resource.custom ? BadRequest("name must be provided") : MethodNotAllowed();
  }
  if (attributes.verb == "create" && !attributes.name.empty() && !resource.custom) {
    return MethodNotAllowed();
  }
  Result<json> object = DecodeBody(resource, call.request.body, content_type);
  if (!object.ok()) return object.error();
  if (resource.review) return Review(call, *object);
  if (attributes.verb == "update") {
    return writer_.Update(resource, ns, attributes.name, *object, status, call.dry_run);
  }
  Writer::Options options;
  options.dry_run = call.dry_run;
  return writer_.Create(resource, ns, std::move(*object), options);
}

Result<Written> ApiServer::Review(const Call& call, const json& object) {
  const Result<json> reviewed =
      call.resource->kind == "TokenReview"
          ? ReviewToken(object, tokens_)
          : ReviewAccess(object,
                         call.resource->kind == "SelfSubjectAccessReview" ? &call.user : nullptr,
                         rbac_);
  if (!reviewed.ok()) return reviewed.error();
  return Written{201, Text(*reviewed)};
}

void ApiServer::Get(const Call& call) {
  const Attributes& attributes = call.info.attributes;
  const Result<std::uint64_t> version = ParseVersion(Parameter(call.request, "resourceVersion"));
  if (!version.ok()) return RespondError(call.answer, version.error());
  const std::uint64_t current = store_.revision();
  if (*version > current) {
    return RespondError(call.answer, TooLargeResourceVersion(*version, current));
  }
  const EntryPtr entry =
      store_.Get(call.resource->key(), call.resource->namespaced ? attributes.ns : std::string(),
                 attributes.name);
  if (!entry) return RespondError(call.answer, NotFound(call.resource->name(), attributes.name));
  call.answer.Respond(200, kJson, Single(*call.resource, call.form, entry->json, clock_.Now()));
}

Result<Store::Page> ApiServer::ReadPage(const Call& call, const ListOptions& options) const {
  const std::string ns = call.resource->namespaced ? call.info.attributes.ns : std::string();
  const auto filter = [&](const Entry& entry) { return Selected(options, entry); };
  const std::string key = call.resource->key();
  if (!options.continue_text.empty()) {
    Result<ContinueToken> token = ContinueToken::Decode(options.continue_text, ns);
    if (!token.ok()) return token.error();
    if (!options.version_text.empty() && options.version_text != "0") {
      return BadRequest("specifying resource version is not allowed when using continue");
    }
    const std::uint64_t current = store_.revision();
    if (token->resource_version && *token->resource_version > current) {
      return TooLargeResourceVersion(*token->resource_version, current);
    }
    std::optional<Store::Page> page = store_.List(key, ns, filter, token->resource_version,
                                                  options.limit, std::pair(token->ns, token->name));
    if (page) return std::move(*page);
    ApiError error = Expired(kContinueExpired);
    token->resource_version.reset();
    error.body["metadata"]["continue"] = token->Encode(!ns.empty());
    return error;
  }

  const Result<std::uint64_t> version = ParseVersion(options.version_text);
  if (!version.ok()) {
    return BadRequest(
        StrCat("invalid resource version: ", TextAt(version.error().body, "message")));
  }
  const std::uint64_t current = store_.revision();
  const bool exact = options.version_match == "Exact" ||
                     (options.limit > 0 && *version > 0 && options.version_match.empty());
  if (*version > current) return TooLargeResourceVersion(*version, current);
  // From its cache the API server gives everything at once.
  const bool cached = !options.version_text.empty() && !exact;
  std::optional<Store::Page> page =
      store_.List(key, ns, filter, exact ? std::optional(*version) : std::nullopt,
                  cached ? 0 : options.limit, std::nullopt);
  if (!page) return Expired(kListExpired);
  return std::move(*page);
}

void ApiServer::List(const Call& call) {
  const Result<ListOptions> options =
      ListOptions::Parse(call.request.query, *call.resource, !options_.refuse_initial_events);
  if (!options.ok()) return RespondError(call.answer, options.error());
  const Result<Store::Page> page = ReadPage(call, *options);
  if (!page.ok()) return RespondError(call.answer, page.error());

  ListMetadata metadata;
  metadata.resource_version = page->resource_version;
  if (page->more) {
    const Entry& last = *page->entries.back();
    const bool in_namespace = !call.resource->namespaced || !call.info.attributes.ns.empty();
    metadata.continue_token =
        ContinueToken{page->resource_version, last.ns, last.name}.Encode(in_namespace);
    if (options->labels.empty() && options->fields.empty()) metadata.remaining = page->remaining;
  }
  const absl::Time now = clock_.Now();
  std::string piece = ListHead(*call.resource, call.form, metadata);
  bool in_pieces = false;
  for (std::size_t i = 0; i < page->entries.size(); ++i) {
    if (i > 0) piece += ',';
    if (call.form == Form::kObject) {
      piece += page->entries[i]->json;
    } else {
      piece += ListItem(*call.resource, call.form, page->entries[i]->json, now);
    }
    if (piece.size() < kPiece) continue;
    if (!in_pieces && !call.answer.Begin(200, kJson)) return;
    in_pieces = true;
    if (!call.answer.Send(piece)) return;
    piece.clear();
  }
  piece += ListTail(*call.resource, call.form, metadata);
  if (!in_pieces) return call.answer.Respond(200, kJson, piece);
  if (call.answer.Send(piece)) call.answer.End();
}

void ApiServer::DeleteCollection(const Call& call) {
  const Result<ListOptions> options =
      ListOptions::Parse(call.request.query, *call.resource, !options_.refuse_initial_events);
  if (!options.ok()) return RespondError(call.answer, options.error());
  const Result<Store::Page> page = ReadPage(call, *options);
  if (!page.ok()) return RespondError(call.answer, page.error());
  DeleteOptions deletion;
  deletion.propagation_policy = Parameter(call.request, "propagationPolicy");
  ListMetadata metadata;
  std::string body = ListHead(*call.resource, call.form, metadata);
  for (const EntryPtr& entry : page->entries) {
    if (!call.answer.IsAwaited()) return call.answer.Abort();
    // One that is gone already is as good.
    (void)writer_.Delete(*call.resource, entry->ns, entry->name, deletion, call.dry_run);
    if (body.back() != '[') body += ',';
    body += ListItem(*call.resource, call.form, entry->json, clock_.Now());
  }
  metadata.resource_version = store_.revision();
  call.answer.Respond(200, kJson, body + ListTail(*call.resource, call.form, metadata));
}

void ApiServer::Watch(const Call& call, const ListOptions& options) {
  const Attributes& watch = call.info.attributes;
  const Resource& resource = *call.resource;
  const std::string ns = resource.namespaced ? watch.ns : std::string();
  const Result<std::uint64_t> version = ParseVersion(options.version_text);
  if (!version.ok()) return RespondError(call.answer, version.error());
  const bool streamed_list = options.send_initial_events.value_or(false);
  const bool initial_events = options.send_initial_events.value_or(*version == 0);
  const bool from_now = *version == 0 && !initial_events;
  // Whoever has seen the answer begin follows from there, whatever is forgotten then.
  const bool too_old = *version != 0 && !streamed_list && *version < store_.Oldest(resource.key());
  if (!call.answer.Begin(200, kJson)) return;

  bool columns = true;
  std::string buffer;
  const auto flush = [&] {
    const bool sent = buffer.empty() || call.answer.Send(buffer);
    buffer.clear();
    return sent;
  };
  // False when the watch has ended.
  const auto send = [&](const char* type, const std::string& stored) {
    std::string line;
    if (call.form == Form::kObject && resource.custom) {
      line = EventLine(type, stored);
    } else {
      line = EventLine(type, Single(resource, call.form, stored, clock_.Now(), columns));
      columns = false;
    }
    if (faults_.TakeHalfLine(watch)) {
      if (flush()) call.answer.Send(std::string_view(line).substr(0, line.size() / 2));
      call.answer.Abort();
      return false;
    }
    buffer += line;
    return buffer.size() < kPiece || flush();
  };
  const auto send_bookmark = [&](std::uint64_t at, bool initial_end) {
    json metadata = {{"resourceVersion", StrCat(at)}};
    if (initial_end) metadata["annotations"] = {{"k8s.io/initial-events-end", "true"}};
    std::string bookmark = Text(
        {{"kind", resource.kind}, {"apiVersion", resource.api_version()}, {"metadata", metadata}});
    if (call.form != Form::kObject) {
      bookmark = Single(resource, call.form, bookmark, clock_.Now(), columns);
      columns = false;
    }
    base::StrAppend(&buffer, EventLine("BOOKMARK", bookmark));
    return flush();
  };

  std::uint64_t cursor = from_now ? store_.revision() : *version;
  const auto send_expired = [&] {
    const ApiError error = Expired(
        StrCat("too old resource version: ", cursor, " (", store_.Oldest(resource.key()), ")"));
    if (call.answer.Send(EventLine("ERROR", Text(error.body)))) call.answer.End();
  };
  while (!faults_.AwaitUnfrozen(watch, SteadyClock::now() + kLookInterval)) {
    if (!call.answer.IsAwaited()) return;
  }
  if (too_old) return send_expired();
  if (const std::uint64_t current = store_.revision(); streamed_list && *version > current) {
    const ApiError error = TooLargeResourceVersion(*version, current);
    if (call.answer.Send(EventLine("ERROR", Text(error.body)))) call.answer.End();
    return;
  }
  if (initial_events) {
    const std::optional<Store::Page> page = store_.List(
        resource.key(), ns, [&](const Entry& entry) { return Selected(options, entry); },
        std::nullopt, 0, std::nullopt);
    for (const EntryPtr& entry : page->entries) {
      if (!send("ADDED", entry->json)) return;
    }
    cursor = page->resource_version;
    if (streamed_list && options.bookmarks && !send_bookmark(cursor, true)) return;
    if (!flush()) return;
  }

  const auto selected = [&](const EntryPtr& entry) {
    return entry && (ns.empty() || entry->ns == ns) && Selected(options, *entry);
  };
  const auto started = SteadyClock::now();
  const auto deadline =
      started + (options.timeout_seconds && *options.timeout_seconds > 0
                     ? std::chrono::duration_cast<SteadyClock::duration>(
                           std::chrono::seconds(*options.timeout_seconds))
                     : std::chrono::duration_cast<SteadyClock::duration>(kDefaultWatchTime));
  auto next_bookmark = started + options_.bookmark_interval;
  while (call.answer.IsAwaited()) {
    // Not even its end comes while it is frozen.
    if (!faults_.AwaitUnfrozen(watch, SteadyClock::now() + kLookInterval)) continue;
    const auto now = SteadyClock::now();
    if (now >= deadline) return call.answer.End();
    const Store::Changes changes = store_.Since(
        resource.key(), cursor, std::min({deadline, next_bookmark, now + kLookInterval}));
    // What has come meanwhile is asked for again: then it is there, or has expired.
    if (!faults_.AwaitUnfrozen(watch, now)) continue;
    if (changes.expired) return send_expired();
    for (const Change& change : changes.changes) {
      const bool was = selected(change.before);
      const bool is = selected(change.after);
      bool sent = true;
      if (is) {
        sent = send(was ? "MODIFIED" : "ADDED", change.after->json);
      } else if (was) {
        sent = send("DELETED", change.before->JsonAt(change.resource_version));
      }
      if (!sent) return;
    }
    if (!flush()) return;
    cursor = std::max(cursor, changes.up_to);
    if (SteadyClock::now() >= next_bookmark) {
      next_bookmark = SteadyClock::now() + options_.bookmark_interval;
      if (options.bookmarks && !send_bookmark(cursor, false)) return;
    }
  }
}

}  // namespace gantry::simulator
