// SPDX-License-Identifier: Apache-2.0
#include "server/service/malformed.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <algorithm>
#include <memory>
#include <string>

#include "base/strings.h"
#include "server/service/text.h"

namespace gantry::service {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::internal::WireFormatLite;
using google::protobuf::io::CodedInputStream;
using Violations = std::vector<base::ErrorInfo::FieldViolation>;

void AddOnce(const std::string& field, std::string description, Violations& violations) {
  const bool known = std::any_of(violations.begin(), violations.end(),
                                 [&field](const auto& v) { return v.field == field; });
  if (!known) violations.push_back({field, std::move(description)});
}

// Whether `value` parses at the depth it has inside its message.
bool ParsesAsField(const Message& prototype, const std::string& value) {
  CodedInputStream input(reinterpret_cast<const std::uint8_t*>(value.data()),
                         static_cast<int>(value.size()));
  input.SetRecursionLimit(CodedInputStream::GetDefaultRecursionLimit() - 1);
  const std::unique_ptr<Message> message(prototype.New());
  return message->ParseFromCodedStream(&input) && input.ConsumedEntireMessage();
}

void CheckField(const FieldDescriptor& field, const std::string& value, const Message& prototype,
                Violations& violations) {
  const std::string& name = field.name();
  if (field.type() == FieldDescriptor::TYPE_STRING) {
    if (!IsValidUtf8(value)) AddOnce(name, "holds bytes that are not UTF-8", violations);
    return;
  }
  if (field.type() != FieldDescriptor::TYPE_MESSAGE) return;
  const Message* field_prototype =
      prototype.GetReflection()->GetMessageFactory()->GetPrototype(field.message_type());
  if (!ParsesAsField(*field_prototype, value)) {
    AddOnce(name,
            base::StrCat("is no ", std::string(field.message_type()->full_name()),
                         ": malformed, nested deeper than 100 levels, or with bytes that are not "
                         "UTF-8 in a string"),
            violations);
  }
}

}  // namespace

Violations DescribeMalformed(std::string_view bytes, const Message& prototype) {
  Violations violations;
  CodedInputStream input(reinterpret_cast<const std::uint8_t*>(bytes.data()),
                         static_cast<int>(bytes.size()));
  while (true) {
    const int start = input.CurrentPosition();
    const std::uint32_t tag = input.ReadTag();
    if (tag == 0 && input.ConsumedEntireMessage() && start == static_cast<int>(bytes.size())) break;
    const FieldDescriptor* field =
        prototype.GetDescriptor()->FindFieldByNumber(WireFormatLite::GetTagFieldNumber(tag));
    bool good = WireFormatLite::GetTagFieldNumber(tag) != 0;
    if (good && WireFormatLite::GetTagWireType(tag) == WireFormatLite::WIRETYPE_LENGTH_DELIMITED) {
      std::uint32_t length = 0;
      std::string value;
      good = input.ReadVarint32(&length) && length <= bytes.size() &&
             input.ReadString(&value, static_cast<int>(length));
      if (good && field != nullptr) CheckField(*field, value, prototype, violations);
    } else if (good) {
      good = WireFormatLite::SkipField(&input, tag);
    }
    if (!good) {
      violations.push_back(
          {"",
           base::StrCat("the bytes are no ", std::string(prototype.GetDescriptor()->full_name()),
                        ": malformed or cut off in what begins at byte ", start)});
      return violations;
    }
  }
  if (violations.empty()) {
    violations.push_back({"", base::StrCat("the bytes are no ",
                                           std::string(prototype.GetDescriptor()->full_name()))});
  }
  return violations;
}

}  // namespace gantry::service
