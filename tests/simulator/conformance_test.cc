// SPDX-License-Identifier: Apache-2.0
//
// What the API server answers to raw requests, against whichever server
// GANTRY_TEST_CONTROL_PLANE names: the simulator and a real kube-apiserver have to answer alike.
// The simulator answers as the oldest Kubernetes that is supported; where the newest one says
// something else, both are written down.
#include <gmock/gmock.h>
#include <httplib.h>

#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "tests/integration/cluster_access.h"
#include "tests/integration/integration_test.h"
#include "tests/integration/kubernetes_api.h"

namespace gantry::simulator {
namespace {

using integration::ControlPlaneFile;
using integration::ReadKubeconfig;
using integration::UniqueName;
using nlohmann::json;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr char kApplications[] = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications";
constexpr char kStageHealths[] = "/apis/gantry.dev/v1alpha1/namespaces/gantry-system/stagehealths";
constexpr char kLeases[] = "/apis/coordination.k8s.io/v1/namespaces/gantry-system/leases";
constexpr char kEvents[] = "/api/v1/namespaces/argocd/events";
constexpr char kAccessReviews[] = "/apis/authorization.k8s.io/v1/subjectaccessreviews";
constexpr char kTokenReviews[] = "/apis/authentication.k8s.io/v1/tokenreviews";
constexpr char kJson[] = "application/json";
constexpr char kMergePatch[] = "application/merge-patch+json";
constexpr char kJsonPatch[] = "application/json-patch+json";

struct Answer {
  int status = 0;
  std::string text;
  json body;
  httplib::Headers headers;
};

class Client {
 public:
  explicit Client(const std::string& kubeconfig)
      : access_(ReadKubeconfig(ControlPlaneFile(kubeconfig))),
        client_(integration::MakeHttpClient(access_)) {}

  void set_token(const std::string& token) { access_.token = token; }
  const std::string& token() const { return access_.token; }
  // Goes with every request from now on.
  void set_header(const std::string& name, const std::string& value) { headers_[name] = value; }

  Answer Send(const std::string& method, const std::string& path, const std::string& body = "",
              const std::string& content_type = kJson) {
    httplib::Request request = Request(method, path);
    if (!body.empty()) {
      request.body = body;
      request.set_header("Content-Type", content_type);
    }
    const httplib::Result result = client_->send(request);
    if (!result) integration::GiveUp(method + " " + path + ": " + to_string(result.error()));
    return {result->status, result->body, json::parse(result->body, nullptr, false),
            result->headers};
  }

  // The first events of a watch; it is left when there are so many. A watch that ends by itself may
  // have fewer.
  // `told`, if given, is called with each before the next is read.
  std::vector<json> Watch(const std::string& path, std::size_t count,
                          const std::function<void(const json& event)>& told = nullptr) {
    std::vector<json> events;
    std::string line;
    httplib::Request request = Request("GET", path);
    request.content_receiver = [&](const char* data, std::size_t size, std::uint64_t,
                                   std::uint64_t) {
      for (std::size_t i = 0; i < size; ++i) {
        if (data[i] != '\n') {
          line += data[i];
          continue;
        }
        events.push_back(json::parse(line));
        line.clear();
        if (told) told(events.back());
      }
      return events.size() < count;
    };
    (void)client_->send(request);
    return events;
  }

 private:
  httplib::Request Request(const std::string& method, const std::string& path) const {
    httplib::Request request;
    request.method = method;
    request.path = path;
    if (!access_.token.empty()) request.set_header("Authorization", "Bearer " + access_.token);
    for (const auto& [name, value] : headers_) request.set_header(name.c_str(), value);
    return request;
  }

  integration::ClusterAccess access_;
  std::map<std::string, std::string> headers_;
  std::unique_ptr<httplib::Client> client_;
};

// The API server's, of Kubernetes 1.x.
int KubernetesMinor() {
  static const int minor = std::stoi(
      Client("admin.kubeconfig").Send("GET", "/version").body.at("minor").get<std::string>());
  return minor;
}
// The newest Kubernetes of these tests.
constexpr int kNewest = 37;

class ConformanceTest : public testing::Test {
 protected:
  // An Application of this test, with `more` merged in, as it is stored.
  json Create(const json& more = json::object()) {
    json object = {{"apiVersion", "argoproj.io/v1alpha1"},
                   {"kind", "Application"},
                   {"metadata", {{"name", UniqueName("app")}, {"labels", {{"group", group_}}}}},
                   {"spec", {{"a", 1}}}};
    object.merge_patch(more);
    const Answer answer = admin_.Send("POST", kApplications, object.dump());
    EXPECT_EQ(answer.status, 201) << answer.text;
    return answer.body;
  }
  static std::string Path(const json& object) {
    return absl::StrCat(kApplications, "/", NameOf(object));
  }
  static std::string NameOf(const json& object) {
    return object.at("metadata").at("name").get<std::string>();
  }
  static std::string VersionOf(const json& object) {
    return object.at("metadata").at("resourceVersion").get<std::string>();
  }
  Answer Patch(const std::string& path, const json& patch, const char* type = kMergePatch) {
    return admin_.Send("PATCH", path, patch.dump(), type);
  }
  // Only this test's Applications.
  std::string Query(const std::string& more = "") const {
    return absl::StrCat(kApplications, "?labelSelector=group%3D", group_, more);
  }
  static std::vector<std::string> Names(const Answer& list) {
    std::vector<std::string> names;
    for (const json& item : list.body.value("items", json::array())) names.push_back(NameOf(item));
    return names;
  }
  // "ADDED a", ...
  static std::vector<std::string> Told(const std::vector<json>& events) {
    std::vector<std::string> told;
    for (const json& event : events) {
      told.push_back(
          absl::StrCat(event.at("type").get<std::string>(), " ", NameOf(event.at("object"))));
    }
    return told;
  }

  Client admin_{"admin.kubeconfig"};
  const std::string group_ = UniqueName("group");
};

void ExpectStatus(const Answer& answer, int code, const json& reason, const std::string& message) {
  EXPECT_EQ(answer.status, code) << answer.text;
  ASSERT_TRUE(answer.body.is_object()) << answer.text;
  EXPECT_EQ(answer.body.value("kind", ""), "Status");
  EXPECT_EQ(answer.body.value("status", ""), "Failure");
  EXPECT_EQ(answer.body.value("code", 0), code);
  EXPECT_EQ(answer.body.value("reason", json(nullptr)), reason);
  EXPECT_EQ(answer.body.value("message", ""), message);
}

void ExpectTooLarge(const json& status) {
  EXPECT_EQ(status.at("code"), 504);
  EXPECT_EQ(status.at("reason"), "Timeout");
  EXPECT_THAT(status.at("message").get<std::string>(),
              testing::StartsWith("Timeout: Too large resource version: 99999999, current: "));
  EXPECT_EQ(status.at("details").at("causes").at(0).at("reason"), "ResourceVersionTooLarge");
}

// ---- requests that are refused, by the words ---------------------------------------

struct RefusalCase {
  const char* name;
  const char* method;
  // NAME stands for that of an Application that is there, at VERSION and with the uid THE_ID.
  const char* path;
  const char* content_type;
  const char* body;
  int code;
  const char* reason;  // null: none
  const char* message;
  const char* newest_message = nullptr;  // as of kNewest; null: the same
};
void PrintTo(const RefusalCase& tested, std::ostream* out) { *out << tested.name; }

class RefusalTest : public ConformanceTest, public ::testing::WithParamInterface<RefusalCase> {};

#define APPS "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications"
#define HEALTHS "/apis/gantry.dev/v1alpha1/namespaces/gantry-system/stagehealths"
#define MODIFIED                                                                             \
  "Operation cannot be fulfilled on applications.argoproj.io \"NAME\": the object has been " \
  "modified; please apply your changes to the latest version and try again"
#define NO_VERSION                                                                             \
  "applications.argoproj.io \"NAME\" is invalid: metadata.resourceVersion: Invalid value: 0: " \
  "must be specified for an update"
#define REJECTED "the server rejected our request due to an error in our request"
#define HEAD "\"apiVersion\":\"argoproj.io/v1alpha1\",\"kind\":\"Application\","

TEST_P(RefusalTest, IsWordedAsTheRealServerWordsIt) {
  const json object = Create();
  const RefusalCase& tested = GetParam();
  const auto filled = [&](const char* text) {
    return absl::StrReplaceAll(text,
                               {{"NAME", NameOf(object)},
                                {"VERSION", VersionOf(object)},
                                {"THE_ID", object.at("metadata").at("uid").get<std::string>()}});
  };
  const Answer answer =
      admin_.Send(tested.method, filled(tested.path), filled(tested.body), tested.content_type);
  const bool differs = tested.newest_message != nullptr && KubernetesMinor() >= kNewest;
  ExpectStatus(answer, tested.code, tested.reason ? json(tested.reason) : json(nullptr),
               filled(differs ? tested.newest_message : tested.message));
  EXPECT_EQ(admin_.Send("GET", Path(object)).body, object) << "something was changed";
}

INSTANTIATE_TEST_SUITE_P(
    , RefusalTest,
    ::testing::Values(
        RefusalCase{"GetOfWhatIsNotThere", "GET", APPS "/nope", kJson, "", 404, "NotFound",
                    "applications.argoproj.io \"nope\" not found"},
        RefusalCase{"NoSuchCoreResource", "GET", "/api/v1/nonsense", kJson, "", 404, "NotFound",
                    "the server could not find the requested resource"},
        RefusalCase{"NoStatusSubresource", "GET", APPS "/NAME/status", kJson, "", 404, "NotFound",
                    "applications.argoproj.io \"NAME\" not found"},
        RefusalCase{"CreateTwice", "POST", APPS, kJson,
                    "{" HEAD "\"metadata\":{\"name\":\"NAME\"}}", 409, "AlreadyExists",
                    "applications.argoproj.io \"NAME\" already exists"},
        RefusalCase{"CreateAtAVersion", "POST", APPS, kJson,
                    "{" HEAD "\"metadata\":{\"name\":\"other\",\"resourceVersion\":\"5\"}}", 500,
                    nullptr, "resourceVersion should not be set on objects to be created"},
        RefusalCase{"CreateInNoNamespace", "POST",
                    "/apis/argoproj.io/v1alpha1/namespaces/missing/applications", kJson,
                    "{" HEAD "\"metadata\":{\"name\":\"a\"}}", 404, "NotFound",
                    "namespaces \"missing\" not found"},
        RefusalCase{"CreateInAnotherNamespace", "POST", APPS, kJson,
                    "{" HEAD "\"metadata\":{\"name\":\"a\",\"namespace\":\"team-a\"}}", 400,
                    "BadRequest",
                    "the namespace of the provided object does not match the namespace sent on the "
                    "request"},
        RefusalCase{"CreateWithoutAName", "POST", APPS, kJson, "{" HEAD "\"metadata\":{}}", 422,
                    "Invalid",
                    "Application.argoproj.io \"\" is invalid: metadata.name: Required value: name "
                    "or generateName is required"},
        RefusalCase{"CreateOfAnotherKind", "POST", APPS, kJson,
                    "{\"apiVersion\":\"argoproj.io/v1alpha1\",\"kind\":\"Foo\",\"metadata\":{"
                    "\"name\":\"x\"}}",
                    422, "Invalid",
                    "Foo.argoproj.io \"x\" is invalid: kind: Invalid value: \"Foo\": must be "
                    "Application"},
        RefusalCase{"CreateInAnotherVersion", "POST", APPS, kJson,
                    "{\"apiVersion\":\"argoproj.io/v1\",\"kind\":\"Application\",\"metadata\":{"
                    "\"name\":\"x\"}}",
                    400, "BadRequest",
                    "the API version in the data (argoproj.io/v1) does not match the expected API "
                    "version (argoproj.io/v1alpha1)"},
        RefusalCase{"CreateWithoutAKind", "POST", APPS, kJson, "{}", 400, "BadRequest",
                    "the object provided is unrecognized (must be of type Application): Object "
                    "'Kind' is missing in '{}' ({})"},
        RefusalCase{"CreateOfHalfAnObject", "POST", APPS, kJson, "{\"a\":", 400, "BadRequest",
                    "the object provided is unrecognized (must be of type Application): couldn't "
                    "get version/kind; json parse error: unexpected end of JSON input ({\"a\":)"},
        RefusalCase{"CreateOfText", "POST", APPS, "text/plain", "x", 415, "UnsupportedMediaType",
                    "the body of the request was in an unknown format - accepted media types "
                    "include: application/json, application/yaml, "
                    "application/vnd.kubernetes.protobuf"},
        RefusalCase{
            "CreateWithABadLabel", "POST", APPS, kJson,
            "{" HEAD "\"metadata\":{\"name\":\"a\",\"labels\":{\"x\":\"-bad-\"}}}", 422, "Invalid",
            "Application.argoproj.io \"a\" is invalid: metadata.labels: Invalid value: \"-bad-\": "
            "a "
            "valid label must be an empty string or consist of alphanumeric characters, '-', '_' "
            "or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or "
            "'my_value',  or '12345', regex used for validation is "
            "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"},
        RefusalCase{"UpdateWithoutAVersion", "PUT", APPS "/NAME", kJson,
                    "{" HEAD "\"metadata\":{\"name\":\"NAME\"}}", 422, "Invalid", NO_VERSION},
        RefusalCase{"UpdateOfAnOldVersion", "PUT", APPS "/NAME", kJson,
                    "{" HEAD "\"metadata\":{\"name\":\"NAME\",\"resourceVersion\":\"1\"}}", 409,
                    "Conflict", MODIFIED},
        RefusalCase{"UpdateOfAnotherName", "PUT", APPS "/NAME", kJson,
                    "{" HEAD "\"metadata\":{\"name\":\"b\",\"resourceVersion\":\"1\"}}", 400,
                    "BadRequest",
                    "the name of the object (b) does not match the name on the URL (NAME)"},
        RefusalCase{"UpdateOfAnotherUid", "PUT", APPS "/NAME", kJson,
                    "{" HEAD "\"metadata\":{\"name\":\"NAME\",\"uid\":\"xx\","
                    "\"resourceVersion\":\"VERSION\"}}",
                    409, "Conflict",
                    "Operation cannot be fulfilled on applications.argoproj.io \"NAME\": "
                    "StorageError: invalid object, Code: 4, Key: "
                    "/registry/argoproj.io/applications/argocd/NAME, ResourceVersion: 0, "
                    "AdditionalErrorMsg: Precondition failed: UID in precondition: xx, UID in "
                    "object meta: THE_ID"},
        RefusalCase{"UpdateOfWhatIsNotThere", "PUT", APPS "/nope", kJson,
                    "{" HEAD "\"metadata\":{\"name\":\"nope\",\"resourceVersion\":\"1\"}}", 404,
                    "NotFound", "applications.argoproj.io \"nope\" not found"},
        RefusalCase{"MergeIntoAnOldVersion", "PATCH", APPS "/NAME", kMergePatch,
                    "{\"metadata\":{\"resourceVersion\":\"1\"},\"spec\":{\"b\":1}}", 409,
                    "Conflict", MODIFIED},
        RefusalCase{"MergeOfNothingIntoAnOldVersion", "PATCH", APPS "/NAME", kMergePatch,
                    "{\"metadata\":{\"resourceVersion\":\"1\"}}", 409, "Conflict", MODIFIED},
        RefusalCase{"MergeOfNoVersion", "PATCH", APPS "/NAME", kMergePatch,
                    "{\"metadata\":{\"resourceVersion\":null}}", 422, "Invalid", NO_VERSION},
        RefusalCase{"MergeOfAnotherUid", "PATCH", APPS "/NAME", kMergePatch,
                    "{\"metadata\":{\"uid\":\"xx\"}}", 422, "Invalid",
                    "Application.argoproj.io \"NAME\" is invalid: metadata.uid: Invalid value: "
                    "\"xx\": field is immutable"},
        RefusalCase{"MergeOfAnotherName", "PATCH", APPS "/NAME", kMergePatch,
                    "{\"metadata\":{\"name\":\"zz\"}}", 400, "BadRequest",
                    "the name of the object (zz) does not match the name on the URL (NAME)"},
        RefusalCase{"MergeOfHalfAPatch", "PATCH", APPS "/NAME", kMergePatch, "{\"a\":", 400,
                    "BadRequest", "error decoding patch: unexpected end of JSON input",
                    "invalid JSON patch"},
        RefusalCase{"MergeOfAList", "PATCH", APPS "/NAME", kMergePatch, "[]", 400, "BadRequest",
                    "error decoding patch: json: cannot unmarshal array into Go value of type "
                    "map[string]interface {}"},
        RefusalCase{"MergeOfNull", "PATCH", APPS "/NAME", kMergePatch, "null", 400, "BadRequest",
                    "Invalid JSON Patch"},
        RefusalCase{"MergeOfNoName", "PATCH", APPS "/NAME", kMergePatch,
                    "{\"metadata\":{\"name\":null}}", 400, "BadRequest",
                    "the name of the object (NAME based on URL) was undeterminable: name must be "
                    "provided"},
        RefusalCase{"MergeOfAnotherNamespace", "PATCH", APPS "/NAME", kMergePatch,
                    "{\"metadata\":{\"namespace\":\"team-a\"}}", 400, "BadRequest",
                    "the namespace of the provided object does not match the namespace sent on the "
                    "request"},
        RefusalCase{"MergeOfADeletion", "PATCH", APPS "/NAME", kMergePatch,
                    "{\"metadata\":{\"deletionTimestamp\":\"2020-01-01T00:00:00Z\"}}", 422,
                    "Invalid",
                    "Application.argoproj.io \"NAME\" is invalid: metadata.deletionTimestamp: "
                    "Invalid value: \"2020-01-01T00:00:00Z\": field is immutable"},
        RefusalCase{"MergeIntoEverything", "PATCH", APPS, kMergePatch, "{}", 400, "BadRequest",
                    "name must be provided"},
        RefusalCase{"JsonPatchWhoseTestFails", "PATCH", APPS "/NAME", kJsonPatch,
                    "[{\"op\":\"test\",\"path\":\"/metadata/resourceVersion\",\"value\":\"1\"},"
                    "{\"op\":\"add\",\"path\":\"/spec/b\",\"value\":1}]",
                    422, "Invalid", REJECTED},
        RefusalCase{"JsonPatchOfAMissingPath", "PATCH", APPS "/NAME", kJsonPatch,
                    "[{\"op\":\"add\",\"path\":\"/nope/b\",\"value\":1}]", 422, "Invalid",
                    REJECTED},
        RefusalCase{"JsonPatchThatRemovesNothing", "PATCH", APPS "/NAME", kJsonPatch,
                    "[{\"op\":\"remove\",\"path\":\"/spec/b\"}]", 422, "Invalid", REJECTED},
        RefusalCase{"JsonPatchThatIsAnObject", "PATCH", APPS "/NAME", kJsonPatch,
                    "{\"op\":\"add\"}", 400, "BadRequest",
                    "error decoding patch: json: cannot unmarshal object into Go value of type "
                    "[]handlers.jsonPatchOp"},
        RefusalCase{"JsonPatchOfANumber", "PATCH", APPS "/NAME", kJsonPatch, "[5]", 400,
                    "BadRequest",
                    "error decoding patch: json: cannot unmarshal number into Go value of type "
                    "handlers.jsonPatchOp"},
        RefusalCase{"StrategicMergePatch", "PATCH", APPS "/NAME",
                    "application/strategic-merge-patch+json", "{}", 415, "UnsupportedMediaType",
                    "the body of the request was in an unknown format - accepted media types "
                    "include: application/json-patch+json, application/merge-patch+json, "
                    "application/apply-patch+yaml"},
        RefusalCase{"DeleteOfAnotherUid", "DELETE", APPS "/NAME", kJson,
                    "{\"preconditions\":{\"uid\":\"xx\"}}", 409, "Conflict",
                    "Operation cannot be fulfilled on Application.argoproj.io \"NAME\": the UID in "
                    "the precondition (xx) does not match the UID in record (THE_ID). The object "
                    "might have been deleted and then recreated"},
        RefusalCase{"DeleteOfAnotherVersion", "DELETE", APPS "/NAME", kJson,
                    "{\"preconditions\":{\"resourceVersion\":\"1\"}}", 409, "Conflict",
                    "Operation cannot be fulfilled on Application.argoproj.io \"NAME\": the "
                    "ResourceVersion in the precondition (1) does not match the ResourceVersion in "
                    "record (VERSION). The object might have been modified"},
        RefusalCase{"ListByAFieldThatNobodyKnows", "GET", APPS "?fieldSelector=spec.a%3D1", kJson,
                    "", 400, "BadRequest", "field label not supported: spec.a"},
        RefusalCase{"ListByABadLabelSelector", "GET", APPS "?labelSelector=a%3D%3D%3Db", kJson, "",
                    400, "BadRequest",
                    "unable to parse requirement: found '=', expected: identifier"},
        RefusalCase{"ListByABadSet", "GET", APPS "?labelSelector=a%20in%20b", kJson, "", 400,
                    "BadRequest", "unable to parse requirement: found 'b' expected: '('"},
        RefusalCase{"ListByABadLabelValue", "GET", APPS "?labelSelector=a%3D-b", kJson, "", 400,
                    "BadRequest",
                    "unable to parse requirement: values[0][a]: Invalid value: \"-b\": a valid "
                    "label must be an empty string or consist of alphanumeric characters, '-', '_' "
                    "or '.', and must start and end with an alphanumeric character (e.g. "
                    "'MyValue',  or 'my_value',  or '12345', regex used for validation is "
                    "'(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"},
        RefusalCase{"ListByABadNumber", "GET", APPS "?labelSelector=a%3Ex", kJson, "", 400,
                    "BadRequest",
                    "unable to parse requirement: values[0]: Invalid value: \"x\": for 'Gt', 'Lt' "
                    "operators, the value must be an integer"},
        RefusalCase{"ListWithABadLimit", "GET", APPS "?limit=x", kJson, "", 400, "BadRequest",
                    "strconv.ParseInt: parsing \"x\": invalid syntax"},
        RefusalCase{"ListFromABadToken", "GET", APPS "?limit=2&continue=abc", kJson, "", 400,
                    "BadRequest",
                    "invalid continue token: continue key is not valid: invalid character 'i' "
                    "looking for beginning of value"},
        RefusalCase{"ListFromATokenOfNoVersion", "GET", APPS "?continue=e30", kJson, "", 400,
                    "BadRequest",
                    "invalid continue token: continue key is not valid: server does not recognize "
                    "this encoded version "},
        RefusalCase{"ListAtABadVersion", "GET", APPS "?resourceVersion=abc", kJson, "", 400,
                    "BadRequest",
                    "invalid resource version: resourceVersion: Invalid value: \"abc\": "
                    "strconv.ParseUint: parsing \"abc\": "
                    "invalid syntax"},
        RefusalCase{"ListMatchingNoVersion", "GET", APPS "?resourceVersionMatch=Exact", kJson, "",
                    422, "Invalid",
                    "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: "
                    "resourceVersionMatch is forbidden unless resourceVersion is provided"},
        RefusalCase{"WatchMatchingAVersion", "GET",
                    APPS "?watch=1&resourceVersionMatch=NotOlderThan&resourceVersion=1", kJson, "",
                    422, "Invalid",
                    "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: "
                    "resourceVersionMatch is forbidden for watch unless sendInitialEvents is "
                    "provided"},
        RefusalCase{"StreamedListThatIsNoWatch", "GET", APPS "?sendInitialEvents=true", kJson, "",
                    422, "Invalid",
                    "ListOptions.meta.k8s.io \"\" is invalid: sendInitialEvents: Forbidden: "
                    "sendInitialEvents is forbidden for list"},
        RefusalCase{"StreamedListMatchingNoVersion", "GET", APPS "?watch=1&sendInitialEvents=true",
                    kJson, "", 422, "Invalid",
                    "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: "
                    "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"},
        RefusalCase{"StageHealthOfAnUnknownPhase", "POST", HEALTHS, kJson,
                    "{\"apiVersion\":\"gantry.dev/v1alpha1\",\"kind\":\"StageHealth\",\"metadata\":"
                    "{\"name\":\"s\"},\"spec\":{\"promotion\":{\"name\":\"x\",\"phase\":\"Odd\"}}}",
                    422, "Invalid",
                    "StageHealth.gantry.dev \"s\" is invalid: spec.promotion.phase: Unsupported "
                    "value: \"Odd\": supported values: \"\", \"Running\", \"Succeeded\", "
                    "\"Failed\", \"Errored\", \"Aborted\""},
        RefusalCase{"StageHealthWithoutWhatIsRequired", "POST", HEALTHS, kJson,
                    "{\"apiVersion\":\"gantry.dev/v1alpha1\",\"kind\":\"StageHealth\",\"metadata\":"
                    "{\"name\":\"s\"},\"spec\":{\"promotion\":{}}}",
                    422, "Invalid",
                    "StageHealth.gantry.dev \"s\" is invalid: spec.promotion.name: Required value"},
        RefusalCase{"StageHealthOfAWrongType", "POST", HEALTHS, kJson,
                    "{\"apiVersion\":\"gantry.dev/v1alpha1\",\"kind\":\"StageHealth\",\"metadata\":"
                    "{\"name\":\"s\"},\"spec\":{\"project\":5}}",
                    422, "Invalid",
                    "StageHealth.gantry.dev \"s\" is invalid: spec.project: Invalid value: "
                    "\"integer\": spec.project in body must be of type string: \"integer\""},
        RefusalCase{"StageHealthOfNoTime", "POST", HEALTHS, kJson,
                    "{\"apiVersion\":\"gantry.dev/v1alpha1\",\"kind\":\"StageHealth\",\"metadata\":"
                    "{\"name\":\"s\"},\"spec\":{\"promotion\":{\"name\":\"x\",\"updateTime\":"
                    "\"yesterday\"}}}",
                    422, "Invalid",
                    "StageHealth.gantry.dev \"s\" is invalid: spec.promotion.updateTime: Invalid "
                    "value: \"yesterday\": spec.promotion.updateTime in body must be of type "
                    "date-time: \"yesterday\""},
        RefusalCase{"LeaseOfNoDuration", "POST",
                    "/apis/coordination.k8s.io/v1/namespaces/gantry-system/leases", kJson,
                    "{\"metadata\":{\"name\":\"l\"},\"spec\":{\"leaseDurationSeconds\":0}}", 422,
                    "Invalid",
                    "Lease.coordination.k8s.io \"l\" is invalid: spec.leaseDurationSeconds: "
                    "Invalid value: 0: must be greater than 0"},
        RefusalCase{"EventAboutAnotherNamespace", "POST", "/api/v1/namespaces/argocd/events", kJson,
                    "{\"metadata\":{\"name\":\"e\"},\"involvedObject\":{\"namespace\":\"other\"}}",
                    422, "Invalid",
                    "Event \"e\" is invalid: involvedObject.namespace: Invalid value: \"other\": "
                    "does not match event.namespace"},
        RefusalCase{"AccessReviewOfNothing", "POST",
                    "/apis/authorization.k8s.io/v1/subjectaccessreviews", kJson,
                    "{\"spec\":{\"user\":\"a\"}}", 422, "Invalid",
                    ".authorization.k8s.io \"\" is invalid: spec.resourceAttributes: Invalid "
                    "value: null: exactly one of nonResourceAttributes or resourceAttributes must "
                    "be specified",
                    ".authorization.k8s.io \"\" is invalid: spec: Invalid value: null: exactly one "
                    "of nonResourceAttributes or resourceAttributes must be specified"},
        RefusalCase{"AccessReviewOfTwoThings", "POST",
                    "/apis/authorization.k8s.io/v1/subjectaccessreviews", kJson,
                    "{\"spec\":{\"user\":\"a\",\"resourceAttributes\":{\"verb\":\"get\"},"
                    "\"nonResourceAttributes\":{\"verb\":\"get\",\"path\":\"/x\"}}}",
                    422, "Invalid",
                    ".authorization.k8s.io \"\" is invalid: spec.nonResourceAttributes: Invalid "
                    "value: {\"Path\":\"/x\",\"Verb\":\"get\"}: cannot be specified in "
                    "combination with resourceAttributes",
                    ".authorization.k8s.io \"\" is invalid: spec: Invalid value: "
                    "{\"Path\":\"/x\",\"Verb\":\"get\"}: exactly one of nonResourceAttributes "
                    "or resourceAttributes must be specified"},
        RefusalCase{"TokenReviewOfNothing", "POST", "/apis/authentication.k8s.io/v1/tokenreviews",
                    kJson, "{\"spec\":{}}", 400, "BadRequest",
                    "token is required for TokenReview in authentication"},
        RefusalCase{"TokenReviewsAreNotKept", "GET", "/apis/authentication.k8s.io/v1/tokenreviews",
                    kJson, "", 405, "MethodNotAllowed",
                    "the server does not allow this method on the requested resource"}),
    [](const auto& tested) { return std::string(tested.param.name); });

TEST_F(ConformanceTest, NothingIsServedAtAPathOfNoResource) {
  for (const char* path : {"/apis/nonsense.io/v1/things", "/apis/argoproj.io/v1/applications",
                           "/apis/argoproj.io/v1alpha1/namespaces/argocd/nonsense"}) {
    const Answer answer = admin_.Send("GET", path);
    EXPECT_EQ(answer.status, 404) << path;
    EXPECT_EQ(answer.text, "404 page not found\n") << path;
  }
}

TEST_F(ConformanceTest, ABodyThatIsTooLargeIsRefused) {
  const json object = Create();
  const std::string large = json{{"spec", {{"text", std::string(3 * 1024 * 1024, 'x')}}}}.dump();
  ExpectStatus(admin_.Send("PATCH", Path(object), large, kMergePatch), 413, "RequestEntityTooLarge",
               "Request entity too large: limit is 3145728");
}

TEST_F(ConformanceTest, DetailsNameTheObject) {
  const Answer answer = admin_.Send("GET", absl::StrCat(kApplications, "/nope"));
  EXPECT_EQ(answer.body.at("details"),
            (json{{"name", "nope"}, {"group", "argoproj.io"}, {"kind", "applications"}}));
}

// The real server names them in no particular order.
TEST_F(ConformanceTest, EveryFieldThatDoesNotFitIsNamed) {
  const json object = {{"apiVersion", "gantry.dev/v1alpha1"},
                       {"kind", "StageHealth"},
                       {"metadata", {{"name", "s"}}},
                       {"spec", {{"project", 5}, {"steps", {json::object(), {{"name", 1}}}}}}};
  const Answer answer = admin_.Send("POST", kStageHealths, object.dump());
  EXPECT_EQ(answer.status, 422);
  const auto invalid = [](const std::string& field) -> json {
    return {{"reason", "FieldValueTypeInvalid"},
            {"message", absl::StrCat("Invalid value: \"integer\": ", field,
                                     " in body must be of type string: \"integer\"")},
            {"field", field}};
  };
  EXPECT_THAT(answer.body.at("details").at("causes").get<std::vector<json>>(),
              testing::UnorderedElementsAre(invalid("spec.project"), invalid("spec.steps[1].name"),
                                            json{{"reason", "FieldValueRequired"},
                                                 {"message", "Required value"},
                                                 {"field", "spec.steps[0].name"}}));
}

// ---- writing -----------------------------------------------------------------------

TEST_F(ConformanceTest, CreatedObjectsGetTheirMetadataFromTheServer) {
  const json object = Create({{"metadata", {{"uid", "mine"}, {"generation", 7}}}});
  const json& metadata = object.at("metadata");
  EXPECT_EQ(metadata.at("namespace"), "argocd");
  EXPECT_EQ(metadata.at("generation"), 1);
  EXPECT_NE(metadata.at("uid"), "mine");
  EXPECT_EQ(metadata.at("uid").get<std::string>().size(), 36u);
  EXPECT_TRUE(metadata.contains("creationTimestamp"));
  EXPECT_FALSE(metadata.contains("selfLink"));
}

TEST_F(ConformanceTest, AGenerateNameIsMadeAName) {
  const json object = Create({{"metadata", {{"name", nullptr}, {"generateName", "made-"}}}});
  EXPECT_EQ(NameOf(object).substr(0, 5), "made-");
  EXPECT_EQ(NameOf(object).size(), 10u);
}

TEST_F(ConformanceTest, ADryRunStoresNothing) {
  const json object = {{"apiVersion", "argoproj.io/v1alpha1"},
                       {"kind", "Application"},
                       {"metadata", {{"name", UniqueName("dry")}}}};
  EXPECT_EQ(admin_.Send("POST", absl::StrCat(kApplications, "?dryRun=All"), object.dump()).status,
            201);
  EXPECT_EQ(admin_.Send("GET", Path(object)).status, 404);
}

TEST_F(ConformanceTest, AChangeThatChangesNothingIsNone) {
  const json object = Create();
  EXPECT_EQ(Patch(Path(object), {{"spec", {{"a", 1}}}}).body, object);
  EXPECT_EQ(admin_.Send("PUT", Path(object), object.dump()).body, object);
  EXPECT_EQ(Patch(Path(object), {{"metadata", {{"generation", 77}}}}).body, object);
}

TEST_F(ConformanceTest, TheGenerationCountsAllButMetadata) {
  const json object = Create();
  const auto generation_after = [&](const json& patch) {
    return Patch(Path(object), patch).body.at("metadata").at("generation");
  };
  EXPECT_EQ(generation_after({{"metadata", {{"annotations", {{"k", "v"}}}}}}), 1);
  EXPECT_EQ(generation_after({{"spec", {{"b", 1}}}}), 2);
  // There is no status subresource.
  EXPECT_EQ(generation_after({{"status", {{"x", 1}}}}), 3);
}

TEST_F(ConformanceTest, JsonPatchesDoWhatTheServersLibraryDoes) {
  const json object = Create({{"spec", {{"l", {1, 2}}}}});
  const Answer answer = Patch(Path(object),
                              {{{"op", "add"}, {"path", "/spec/l/-"}, {"value", 3}},
                               {{"op", "add"}, {"path", "/spec/l/0"}, {"value", 0}},
                               {{"op", "test"}, {"path", "/spec/l/3"}, {"value", 3}},
                               {{"op", "replace"}, {"path", "/spec/new"}, {"value", 1}},
                               {{"op", "copy"}, {"from", "/spec/l"}, {"path", "/spec/m"}},
                               {{"op", "move"}, {"from", "/spec/a"}, {"path", "/spec/n~1o"}},
                               {{"op", "add"}, {"path", "/spec/none"}}},
                              kJsonPatch);
  ASSERT_EQ(answer.status, 200) << answer.text;
  EXPECT_EQ(answer.body.at("spec"), json::parse(R"({"l": [0, 1, 2, 3], "m": [0, 1, 2, 3],
      "new": 1, "n/o": 1, "none": null})"));
}

TEST_F(ConformanceTest, ADeletedObjectIsGoneAndTheAnswerSaysSo) {
  const json object = Create();
  const Answer answer = admin_.Send("DELETE", Path(object));
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body.at("status"), "Success");
  EXPECT_EQ(answer.body.at("details").at("uid"), object.at("metadata").at("uid"));
  EXPECT_EQ(admin_.Send("GET", Path(object)).status, 404);
}

TEST_F(ConformanceTest, FinalizersHoldADeletionUp) {
  const json object = Create({{"metadata", {{"finalizers", {"example.com/wait"}}}}});
  const Answer deleted = admin_.Send("DELETE", Path(object));
  EXPECT_EQ(deleted.status, 200);
  EXPECT_EQ(deleted.body.at("kind"), "Application");
  EXPECT_TRUE(deleted.body.at("metadata").contains("deletionTimestamp"));
  EXPECT_EQ(deleted.body.at("metadata").at("generation"), 2);
  EXPECT_EQ(admin_.Send("DELETE", Path(object)).body, deleted.body);
  ExpectStatus(
      Patch(Path(object), {{"metadata", {{"finalizers", {"example.com/wait", "b.c/d"}}}}}), 422,
      "Invalid",
      absl::StrCat("Application.argoproj.io \"", NameOf(object),
                   "\" is invalid: metadata.finalizers: Forbidden: no new finalizers can be added "
                   "if the object is being deleted, found new finalizers []string{\"b.c/d\"}"));
  EXPECT_EQ(Patch(Path(object), {{"metadata", {{"finalizers", nullptr}}}}).status, 200);
  EXPECT_EQ(admin_.Send("GET", Path(object)).status, 404);
}

TEST_F(ConformanceTest, TheStatusOfAStageHealthIsASubresource) {
  const std::string name = UniqueName("stage");
  const std::string path = absl::StrCat(kStageHealths, "/", name);
  const json object = {{"apiVersion", "gantry.dev/v1alpha1"},
                       {"kind", "StageHealth"},
                       {"metadata", {{"name", name}}},
                       {"spec", {{"project", "p"}, {"stage", nullptr}, {"unknown", 1}}},
                       {"status", {{"state", "Healthy"}}}};
  const Answer created = admin_.Send("POST", kStageHealths, object.dump());
  ASSERT_EQ(created.status, 201) << created.text;
  EXPECT_EQ(created.body.at("spec"), (json{{"project", "p"}}));
  EXPECT_FALSE(created.body.contains("status"));

  const Answer status = Patch(path + "/status", {{"status", {{"state", "Healthy"}, {"junk", 1}}},
                                                 {"spec", {{"project", "q"}}}});
  EXPECT_EQ(status.body.at("status"), (json{{"state", "Healthy"}}));
  EXPECT_EQ(status.body.at("spec"), (json{{"project", "p"}}));
  EXPECT_EQ(status.body.at("metadata").at("generation"), 1);

  const Answer spec = Patch(path, {{"status", {{"state", "Odd"}}}, {"spec", {{"project", "q"}}}});
  EXPECT_EQ(spec.body.at("status"), (json{{"state", "Healthy"}}));
  EXPECT_EQ(spec.body.at("metadata").at("generation"), 2);

  EXPECT_EQ(admin_.Send("POST", path + "/status", "{}").status, 405);
  EXPECT_EQ(admin_.Send("DELETE", path).status, 200);
}

TEST_F(ConformanceTest, ALeaseIsCreatedByAnUpdateAndLockedByItsVersion) {
  const std::string name = UniqueName("lease");
  const std::string path = absl::StrCat(kLeases, "/", name);
  const json object = {
      {"metadata", {{"name", name}}},
      {"spec",
       {{"holderIdentity", "a"}, {"renewTime", "2024-01-01T00:00:00.500000Z"}, {"unknown", 1}}}};
  const Answer created = admin_.Send("PUT", path, object.dump());
  ASSERT_EQ(created.status, 201) << created.text;
  EXPECT_EQ(created.body.at("spec"),
            (json{{"holderIdentity", "a"}, {"renewTime", "2024-01-01T00:00:00.500000Z"}}));
  EXPECT_EQ(admin_.Send("PUT", path, object.dump()).status, 422);
  EXPECT_EQ(admin_.Send("PUT", path, created.text).status, 200);
  EXPECT_EQ(Patch(path, {{"spec", {{"holderIdentity", "b"}}}}).status, 200);
  EXPECT_EQ(admin_.Send("PUT", path, created.text).status, 409);
  json half_second = object;
  half_second["metadata"]["name"] = UniqueName("lease");
  half_second["spec"]["renewTime"] = "2024-01-01T00:00:00.5Z";
  EXPECT_EQ(admin_.Send("POST", kLeases, half_second.dump()).status, 400);
  EXPECT_EQ(admin_.Send("DELETE", path).status, 200);
}

TEST_F(ConformanceTest, EventsAreSelectedByWhatTheyAreAbout) {
  const std::string about = UniqueName("about");
  const json event = {{"metadata", {{"name", UniqueName("event")}}},
                      {"involvedObject", {{"name", about}, {"namespace", "argocd"}}},
                      {"reason", "Told"},
                      {"type", "Normal"}};
  const Answer created = admin_.Send("POST", kEvents, event.dump());
  ASSERT_EQ(created.status, 201) << created.text;
  EXPECT_EQ(created.body.at("source"), json::object());
  EXPECT_EQ(created.body.at("eventTime"), nullptr);
  const std::string query =
      absl::StrCat(kEvents, "?fieldSelector=involvedObject.name%3D", about, ",reason%3D");
  EXPECT_THAT(Names(admin_.Send("GET", query + "Told")), ElementsAre(NameOf(event)));
  EXPECT_THAT(Names(admin_.Send("GET", query + "Kept")), IsEmpty());
}

TEST_F(ConformanceTest, NothingIsCreatedInANamespaceThatIsBeingDeleted) {
  const std::string ns = UniqueName("ns");
  ASSERT_EQ(
      admin_.Send("POST", "/api/v1/namespaces", json{{"metadata", {{"name", ns}}}}.dump()).status,
      201);
  const Answer deleted = admin_.Send("DELETE", "/api/v1/namespaces/" + ns);
  EXPECT_EQ(deleted.body.at("status").at("phase"), "Terminating");
  const json object = {{"apiVersion", "argoproj.io/v1alpha1"},
                       {"kind", "Application"},
                       {"metadata", {{"name", "late"}}}};
  const std::string path =
      absl::StrCat("/apis/argoproj.io/v1alpha1/namespaces/", ns, "/applications");
  // The real server's admission follows namespaces by a watch, and is a moment behind.
  Answer answer = admin_.Send("POST", path, object.dump());
  const auto deadline = std::chrono::steady_clock::now() + integration::kPatience;
  while (answer.status == 201 && std::chrono::steady_clock::now() < deadline) {
    admin_.Send("DELETE", path + "/late");
    answer = admin_.Send("POST", path, object.dump());
  }
  ExpectStatus(answer, 403, "Forbidden",
               absl::StrCat("applications.argoproj.io \"late\" is forbidden: unable to create new "
                            "content in namespace ",
                            ns, " because it is being terminated"));
}

// ---- lists -------------------------------------------------------------------------

TEST_F(ConformanceTest, PagesAreOfOneMoment) {
  std::vector<std::string> names;
  for (int i = 0; i < 5; ++i) {
    names.push_back(NameOf(Create({{"metadata", {{"name", absl::StrCat(group_, "-", i)}}}})));
  }
  const Answer first = admin_.Send("GET", Query("&limit=2"));
  EXPECT_THAT(Names(first), ElementsAre(names[0], names[1]));
  // Later changes are not seen by later pages.
  admin_.Send("DELETE", absl::StrCat(kApplications, "/", names[2]));
  Create({{"metadata", {{"name", group_ + "-2b"}}}});
  Patch(absl::StrCat(kApplications, "/", names[3]), {{"spec", {{"a", 2}}}});

  std::string token = first.body.at("metadata").at("continue");
  const Answer second = admin_.Send("GET", Query("&limit=2&continue=" + token));
  EXPECT_THAT(Names(second), ElementsAre(names[2], names[3]));
  EXPECT_EQ(second.body.at("items").at(1).at("spec").at("a"), 1);
  EXPECT_EQ(VersionOf(second.body), VersionOf(first.body));
  token = second.body.at("metadata").at("continue");
  const Answer third = admin_.Send("GET", Query("&limit=2&continue=" + token));
  EXPECT_THAT(Names(third), ElementsAre(names[4]));
  EXPECT_EQ(third.body.at("metadata").at("continue"), "");
  ExpectStatus(admin_.Send("GET", Query("&limit=2&resourceVersion=5&continue=" + token)), 400,
               "BadRequest", "specifying resource version is not allowed when using continue");
}

TEST_F(ConformanceTest, TheRestOfAListIsCountedUnlessItIsSelectedFrom) {
  for (int i = 0; i < 3; ++i) Create();
  const Answer all = admin_.Send("GET", absl::StrCat(kApplications, "?limit=1"));
  EXPECT_GE(all.body.at("metadata").at("remainingItemCount"), 2);
  EXPECT_FALSE(
      admin_.Send("GET", Query("&limit=1")).body.at("metadata").contains("remainingItemCount"));
}

TEST_F(ConformanceTest, AnExactVersionShowsWhatWasThere) {
  const json object = Create();
  Patch(Path(object), {{"spec", {{"a", 2}}}});
  const std::string version = VersionOf(object);
  for (const char* how : {"&limit=10", "&resourceVersionMatch=Exact"}) {
    const Answer old = admin_.Send("GET", Query(absl::StrCat("&resourceVersion=", version, how)));
    ASSERT_EQ(old.status, 200) << old.text;
    EXPECT_EQ(VersionOf(old.body), version);
    EXPECT_EQ(old.body.at("items").at(0).at("spec").at("a"), 1);
  }
}

TEST_F(ConformanceTest, AVersionOfTheFutureIsTooLarge) {
  for (const char* how : {"", "&limit=1"}) {
    const Answer list = admin_.Send("GET", Query(absl::StrCat("&resourceVersion=99999999", how)));
    ExpectTooLarge(list.body);
    EXPECT_EQ(list.status, 504) << how;
  }
}

TEST_F(ConformanceTest, SelectorsSelect) {
  const auto make = [&](const std::string& suffix, const json& labels) {
    return NameOf(Create({{"metadata", {{"name", group_ + suffix}, {"labels", labels}}}}));
  };
  const std::string one = make("-1", {{"n", "1"}, {"x", "a"}});
  const std::string two = make("-2", {{"n", "2"}});
  const std::string three = make("-3", json::object());
  const std::map<std::string, std::vector<std::string>> cases = {
      {",n%3D1", {one}},
      {",n%3D%3D1", {one}},
      {",n!%3D1", {two, three}},
      {",n%20in%20(1,2)", {one, two}},
      {",n%20notin%20(1)", {two, three}},
      {",n", {one, two}},
      {",!n", {three}},
      {",n%3E1", {two}},
      {",n%3C2", {one}},
      {",x%20in%20(a),n", {one}},
      {"&fieldSelector=metadata.name%3D" + two, {two}},
      {"&fieldSelector=metadata.name!%3D" + two + ",metadata.namespace%3Dargocd", {one, three}},
      {"&fieldSelector=metadata.namespace%3Dother", {}}};
  for (const auto& [query, expected] : cases) {
    EXPECT_EQ(Names(admin_.Send("GET", Query(query))), expected) << query;
  }
  EXPECT_EQ(Names(admin_.Send("GET", absl::StrCat("/apis/argoproj.io/v1alpha1/applications"
                                                  "?labelSelector=group%3D",
                                                  group_)))
                .size(),
            3u);
  EXPECT_EQ(admin_.Send("DELETE", Query(",n")).status, 200);
  EXPECT_THAT(Names(admin_.Send("GET", Query())), ElementsAre(three));
}

TEST_F(ConformanceTest, TablesAndMetadataComeWhenTheyAreAskedFor) {
  const json object = Create();
  admin_.set_header("Accept", "application/json;as=Table;v=v1;g=meta.k8s.io,application/json");
  const Answer table = admin_.Send("GET", Path(object));
  EXPECT_EQ(table.body.at("kind"), "Table");
  EXPECT_EQ(table.body.at("columnDefinitions").at(1).at("name"), "Age");
  EXPECT_EQ(table.body.at("rows").at(0).at("cells").at(0), NameOf(object));
  admin_.set_header("Accept", "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io");
  const Answer partial = admin_.Send("GET", Query());
  EXPECT_EQ(partial.body.at("kind"), "PartialObjectMetadataList");
  EXPECT_FALSE(partial.body.at("items").at(0).contains("spec"));
  admin_.set_header("Accept", "text/html");
  EXPECT_EQ(admin_.Send("GET", Query()).status, 406);
}

// ---- watches -----------------------------------------------------------------------

TEST_F(ConformanceTest, AWatchTellsWhatHappenedSince) {
  const json object = Create();
  const std::string name = NameOf(object);
  const std::string since = VersionOf(object);
  Patch(Path(object), {{"spec", {{"a", 2}}}});
  Patch(Path(object), {{"spec", {{"a", 2}}}});
  admin_.Send("DELETE", Path(object));
  const json later = Create();
  const std::vector<json> events =
      admin_.Watch(Query("&watch=1&timeoutSeconds=20&resourceVersion=" + since), 3);
  EXPECT_THAT(Told(events),
              ElementsAre("MODIFIED " + name, "DELETED " + name, "ADDED " + NameOf(later)));
  // What is deleted comes as it was, at the deletion's version.
  EXPECT_EQ(events[1].at("object").at("spec").at("a"), 2);
  EXPECT_GT(std::stoll(VersionOf(events[1].at("object"))),
            std::stoll(VersionOf(events[0].at("object"))));
}

TEST_F(ConformanceTest, AWatchFromNowhereBeginsWithWhatIsThere) {
  const json object = Create();
  for (const char* from : {"", "&resourceVersion=0"}) {
    EXPECT_THAT(Told(admin_.Watch(Query(absl::StrCat("&watch=true&timeoutSeconds=20", from)), 1)),
                ElementsAre("ADDED " + NameOf(object)));
  }
}

TEST_F(ConformanceTest, AWatchBySelectorTellsOfWhatBeginsAndCeasesToMatch) {
  const json object = Create();
  const std::string name = NameOf(object);
  const auto label = [&](const json& value) {
    return Patch(Path(object), {{"metadata", {{"labels", {{"on", value}}}}}});
  };
  label("yes");
  Patch(Path(object), {{"spec", {{"a", 2}}}});
  label("no");
  label("yes");
  const std::vector<json> events = admin_.Watch(
      Query(",on%3Dyes&watch=1&timeoutSeconds=20&resourceVersion=" + VersionOf(object)), 4);
  EXPECT_THAT(Told(events),
              ElementsAre("ADDED " + name, "MODIFIED " + name, "DELETED " + name, "ADDED " + name));
  // As it was when it last matched.
  EXPECT_EQ(events.at(2).at("object").at("metadata").at("labels").at("on"), "yes");
}

TEST_F(ConformanceTest, AWatchEndsWhenItsTimeIsUp) {
  const json object = Create();
  const std::string query = Query("&watch=1&timeoutSeconds=1&resourceVersion=" + VersionOf(object));
  EXPECT_THAT(admin_.Watch(query, 1), IsEmpty());
}

// ---- streamed lists ----------------------------------------------------------------

// What comes of a list that is asked for as a stream of events.
std::string Streamed(const std::string& query, const std::string& more = "") {
  return absl::StrCat(query, "&watch=1&allowWatchBookmarks=true&sendInitialEvents=true",
                      "&resourceVersionMatch=NotOlderThan", more);
}

bool EndsInitialEvents(const json& event) {
  const json& metadata = event.at("object").at("metadata");
  return event.at("type") == "BOOKMARK" && metadata.contains("annotations") &&
         metadata.at("annotations") == json{{"k8s.io/initial-events-end", "true"}};
}

// The one test here for a server without them too.
TEST_F(ConformanceTest, AListIsStreamedUnlessTheFeatureGateIsOff) {
  if (integration::StreamsLists()) {
    const std::vector<json> events = admin_.Watch(Streamed(Query(), "&timeoutSeconds=20"), 1);
    ASSERT_EQ(events.size(), 1u);
    EXPECT_TRUE(EndsInitialEvents(events[0])) << events[0];
    EXPECT_EQ(events[0].at("object").at("kind"), "Application");
  } else {
    ExpectStatus(admin_.Send("GET", Streamed(Query())), 422, "Invalid",
                 "ListOptions.meta.k8s.io \"\" is invalid: sendInitialEvents: Forbidden: "
                 "sendInitialEvents is forbidden for watch unless the WatchList feature gate is "
                 "enabled");
  }
}

TEST_F(ConformanceTest, AStreamedListIsWhatThereIsThenABookmarkThenWhatHappens) {
  const std::string one = NameOf(Create());
  const std::string two = NameOf(Create());
  const std::string query = Streamed(Query(), "&timeoutSeconds=20");
  std::string three;
  Client follower("admin.kubeconfig");
  std::vector<json> events = follower.Watch(query, 4, [&](const json& event) {
    if (EndsInitialEvents(event)) three = NameOf(Create());
  });
  ASSERT_EQ(events.size(), 4u);
  ASSERT_TRUE(EndsInitialEvents(events[2])) << events[2];
  const std::string version = VersionOf(events[2].at("object"));
  events.erase(events.begin() + 2);
  EXPECT_THAT(Told(events),
              testing::UnorderedElementsAre("ADDED " + one, "ADDED " + two, "ADDED " + three));
  EXPECT_EQ(NameOf(events[2].at("object")), three);
  // The bookmark's version is the list's.
  EXPECT_THAT(
      Names(admin_.Send("GET", Query("&resourceVersionMatch=Exact&resourceVersion=" + version))),
      testing::UnorderedElementsAre(one, two));
  EXPECT_THAT(Told(admin_.Watch(Query("&watch=1&timeoutSeconds=20&resourceVersion=" + version), 1)),
              ElementsAre("ADDED " + three));
}

TEST_F(ConformanceTest, AStreamedListIsNotOlderThanAVersion) {
  const json object = Create();
  for (const std::string& version : {VersionOf(object), std::string("0"), std::string("1")}) {
    const std::vector<json> events =
        admin_.Watch(Streamed(Query(), "&timeoutSeconds=20&resourceVersion=" + version), 2);
    ASSERT_EQ(events.size(), 2u) << version;
    EXPECT_EQ(events[0].at("object"), object);
    EXPECT_TRUE(EndsInitialEvents(events[1])) << events[1];
  }
  const std::vector<json> future =
      admin_.Watch(Streamed(Query(), "&timeoutSeconds=20&resourceVersion=99999999"), 1);
  ASSERT_EQ(future.size(), 1u);
  EXPECT_EQ(future[0].at("type"), "ERROR");
  ExpectTooLarge(future[0].at("object"));
}

TEST_F(ConformanceTest, TheEndOfAStreamedListIsMarkedForThoseWhoAllowBookmarks) {
  const std::string told = "ADDED " + NameOf(Create());
  EXPECT_THAT(Told(admin_.Watch(Query("&watch=1&timeoutSeconds=1&sendInitialEvents=true&"
                                      "resourceVersionMatch=NotOlderThan"),
                                2)),
              ElementsAre(told));
  // Also of what is there when a watch begins from nowhere.
  const std::vector<json> events =
      admin_.Watch(Query("&watch=1&timeoutSeconds=20&allowWatchBookmarks=true"), 2);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_THAT(Told({events[0]}), ElementsAre(told));
  EXPECT_TRUE(EndsInitialEvents(events[1])) << events[1];
}

TEST_F(ConformanceTest, AStreamedListOfMetadataEndsInItsForm) {
  const json object = Create();
  admin_.set_header("Accept", "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io");
  const std::vector<json> events = admin_.Watch(Streamed(Query(), "&timeoutSeconds=20"), 2);
  ASSERT_EQ(events.size(), 2u);
  EXPECT_TRUE(EndsInitialEvents(events[1])) << events[1];
  for (const json& event : events) {
    EXPECT_EQ(event.at("object").at("kind"), "PartialObjectMetadata");
    EXPECT_FALSE(event.at("object").contains("spec"));
  }
}

TEST_F(ConformanceTest, AWatchThatWantsNoInitialEventsBeginsNow) {
  Create();
  EXPECT_THAT(admin_.Watch(Query("&watch=1&timeoutSeconds=1&sendInitialEvents=false&"
                                 "resourceVersionMatch=NotOlderThan"),
                           1),
              IsEmpty());
}

// ---- who may -----------------------------------------------------------------------

TEST_F(ConformanceTest, AnUnknownTokenIsNobody) {
  admin_.set_token("nonsense");
  ExpectStatus(admin_.Send("GET", kApplications), 401, "Unauthorized", "Unauthorized");
}

TEST_F(ConformanceTest, WhoeverHasNoRightsIsToldWhichAreMissing) {
  const std::string who = "User \"nobody\" cannot ";
  const std::string where = " in API group \"argoproj.io\" in the namespace \"argocd\"";
  const std::string all = "applications.argoproj.io is forbidden: " + who;
  const std::string one = "applications.argoproj.io \"a\" is forbidden: " + who;
  Client nobody("nobody.kubeconfig");
  const std::string path = absl::StrCat(kApplications, "/a");
  const auto refused = [&](const char* method, const std::string& target,
                           const std::string& message) {
    SCOPED_TRACE(message);
    ExpectStatus(nobody.Send(method, target, std::string(method) == "GET" ? "" : "{}"), 403,
                 "Forbidden", message);
  };
  refused("GET", kApplications, all + "list resource \"applications\"" + where);
  refused("GET", absl::StrCat(kApplications, "?watch=1"),
          all + "watch resource \"applications\"" + where);
  refused("POST", kApplications, all + "create resource \"applications\"" + where);
  refused("DELETE", kApplications, all + "deletecollection resource \"applications\"" + where);
  refused("GET", path, one + "get resource \"applications\"" + where);
  refused("PUT", path, one + "update resource \"applications\"" + where);
  refused("DELETE", path, one + "delete resource \"applications\"" + where);
  refused("GET", "/apis/argoproj.io/v1alpha1/applications",
          all + "list resource \"applications\" in API group \"argoproj.io\" at the cluster scope");
  refused("GET", "/metrics", "forbidden: User \"nobody\" cannot get path \"/metrics\"");
  refused("PATCH", absl::StrCat(kStageHealths, "/x/status"),
          "stagehealths.gantry.dev \"x\" is forbidden: User \"nobody\" cannot patch resource "
          "\"stagehealths/status\" in API group \"gantry.dev\" in the namespace "
          "\"gantry-system\"");
  EXPECT_EQ(nobody.Send("GET", "/healthz").text, "ok");
  EXPECT_EQ(nobody.Send("GET", "/apis").status, 200);
}

TEST_F(ConformanceTest, GantryMayWhatItsRolesGrant) {
  const json object = Create();
  Client gantry("gantry.kubeconfig");
  EXPECT_EQ(gantry.Send("GET", kApplications).status, 200);
  EXPECT_EQ(gantry.Send("PATCH", Path(object), "{}", kMergePatch).status, 200);
  EXPECT_EQ(gantry.Send("DELETE", Path(object)).status, 403);
  EXPECT_EQ(gantry.Send("GET", "/apis/argoproj.io/v1alpha1/applications").status, 403);
}

TEST_F(ConformanceTest, TheAdministratorMayPlayAnybodyAndNobodyElseMay) {
  admin_.set_header("Impersonate-User", "somebody");
  ExpectStatus(admin_.Send("GET", kApplications), 403, "Forbidden",
               "applications.argoproj.io is forbidden: User \"somebody\" cannot list resource "
               "\"applications\" in API group \"argoproj.io\" in the namespace \"argocd\"");
  Client nobody("nobody.kubeconfig");
  nobody.set_header("Impersonate-User", "admin");
  ExpectStatus(nobody.Send("GET", kApplications), 403, "Forbidden",
               KubernetesMinor() >= kNewest
                   ? "applications.argoproj.io is forbidden: User \"nobody\" cannot "
                     "impersonate-on:user-info:list resource \"applications\" in API group "
                     "\"argoproj.io\" in the namespace \"argocd\""
                   : "users \"admin\" is forbidden: User \"nobody\" cannot impersonate resource "
                     "\"users\" in API group \"\" at the cluster scope");
}

TEST_F(ConformanceTest, AccessReviewsAnswerByTheRoles) {
  const auto review = [&](const json& spec) {
    const Answer answer = admin_.Send("POST", kAccessReviews, json{{"spec", spec}}.dump());
    EXPECT_EQ(answer.status, 201) << answer.text;
    return answer.body.at("status");
  };
  const json patch = {{"verb", "patch"},
                      {"group", "argoproj.io"},
                      {"resource", "applications"},
                      {"namespace", "argocd"}};
  EXPECT_EQ(review({{"user", "system:serviceaccount:gantry-system:gantry"},
                    {"resourceAttributes", patch}}),
            (json{{"allowed", true},
                  {"reason",
                   "RBAC: allowed by RoleBinding \"gantry-applications/argocd\" of ClusterRole "
                   "\"gantry-applications\" to ServiceAccount \"gantry/gantry-system\""}}));
  EXPECT_EQ(review({{"user", "x"}, {"resourceAttributes", patch}}), (json{{"allowed", false}}));
  EXPECT_EQ(review({{"user", "x"}, {"groups", {"system:masters"}}, {"resourceAttributes", patch}}),
            (json{{"allowed", true}}));
}

TEST_F(ConformanceTest, TokenReviewsKnowTheTokens) {
  const auto review = [&](const json& spec) {
    const Answer answer = admin_.Send("POST", kTokenReviews, json{{"spec", spec}}.dump());
    EXPECT_EQ(answer.status, 201) << answer.text;
    return answer.body.at("status");
  };
  const std::string token = Client("gantry.kubeconfig").token();
  EXPECT_EQ(review({{"token", token}}), json::parse(R"({"authenticated": true, "user": {
              "username": "system:serviceaccount:gantry-system:gantry", "uid": "gantry",
              "groups": ["system:serviceaccounts", "system:serviceaccounts:gantry-system",
                         "system:authenticated"]},
              "audiences": ["https://kubernetes.default.svc.cluster.local"]})"));
  const json unknown = {{"user", json::object()}, {"error", "invalid bearer token"}};
  EXPECT_EQ(review({{"token", "nonsense"}}), unknown);
  EXPECT_EQ(review({{"token", token}, {"audiences", {"other"}}}), unknown);
}

}  // namespace
}  // namespace gantry::simulator
