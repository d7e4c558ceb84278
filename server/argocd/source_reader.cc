// SPDX-License-Identifier: Apache-2.0
#include "server/argocd/source_reader.h"

namespace gantry::argocd {
namespace {

HelmParameter ReadHelmParameter(JsonWalker& read, JsonWalker::Value json) {
  HelmParameter parameter;
  read.Members(json, "parameters", [&](std::string_view key, JsonWalker::Value member) {
    if (key == "name") {
      parameter.name = read.Interned(member, key);
    } else if (key == "value") {
      parameter.value = read.Interned(member, key);
    } else if (key == "forceString") {
      parameter.force_string = read.Bool(member, key);
    }
  });
  return parameter;
}

void ReadMember(JsonWalker& read, std::string_view key, JsonWalker::Value member, Source& source) {
  if (key == "repoURL") {
    source.repo_url = read.Interned(member, key);
  } else if (key == "chart") {
    source.chart = read.Interned(member, key);
  } else if (key == "targetRevision") {
    source.target_revision = read.Interned(member, key);
  } else if (key == "ref") {
    source.has_ref = !read.Text(member, key).empty();
  } else if (key == "path") {
    source.has_path = !read.Text(member, key).empty();
  } else if (key == "directory") {
    source.has_directory = read.IsSet(member);
  } else if (key == "plugin") {
    source.has_plugin = read.IsSet(member);
  } else if (key == "kustomize") {
    source.has_kustomize = read.IsSet(member);
    read.Members(member, key, [&](std::string_view field, JsonWalker::Value images) {
      if (field == "images") source.kustomize_images = read.Strings(images, field);
    });
  } else if (key == "helm") {
    source.has_helm = read.IsSet(member);
    read.Members(member, key, [&](std::string_view field, JsonWalker::Value parameters) {
      if (field != "parameters") return;
      read.Items(parameters, field, [&](JsonWalker::Value item) {
        source.helm_parameters.push_back(ReadHelmParameter(read, item));
      });
    });
  }
}

Source ReadSource(JsonWalker& read, JsonWalker::Object object) {
  Source source;
  read.MembersOf(object, [&](std::string_view key, JsonWalker::Value member) {
    ReadMember(read, key, member, source);
  });
  source.kustomize_images.shrink_to_fit();
  source.helm_parameters.shrink_to_fit();
  return source;
}

}  // namespace

bool SourcesReader::Read(JsonWalker& read, std::string_view key, JsonWalker::Value member) {
  if (key == "sources") {
    if (read.Is(member, key, JsonWalker::Type::array)) ReadList(read, member);
  } else if (key == "source") {
    if (read.Is(member, key, JsonWalker::Type::object)) ReadSingle(read, member);
  } else {
    return false;
  }
  return true;
}

void SourcesReader::ReadList(JsonWalker& read, JsonWalker::Value member) {
  JsonWalker::Array items;
  if (read.Broken(member.get_array().get(items))) return;
  text_of_list_ = read.TextOf(items);
  if (spec_ != nullptr && spec_->text_of_list_ == text_of_list_) {
    list_ = spec_->list_;
    return;
  }
  read.ItemsOf(items, [&](JsonWalker::Value item) {
    JsonWalker::Object object;
    list_.emplace_back();
    if (!read.Is(item, "source", JsonWalker::Type::object)) return;
    if (!read.Broken(item.get_object().get(object))) list_.back() = ReadSource(read, object);
  });
}

void SourcesReader::ReadSingle(JsonWalker& read, JsonWalker::Value member) {
  JsonWalker::Object object;
  if (read.Broken(member.get_object().get(object))) return;
  text_of_single_ = read.TextOf(object);
  if (spec_ != nullptr && spec_->text_of_single_ == text_of_single_) {
    single_ = spec_->single_;
  } else {
    single_ = ReadSource(read, object);
  }
}

Sources SourcesReader::Get() const {
  if (!list_.empty()) return Sources(list_);
  return single_ ? Sources({*single_}) : Sources();
}

}  // namespace gantry::argocd
