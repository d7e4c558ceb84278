// SPDX-License-Identifier: Apache-2.0
#include "client/gantryctl/completion.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "client/gantryctl/text.h"

namespace gantry::gantryctl {
namespace {

constexpr char kBash[] = R"(# Completion of gantryctl for bash. For this shell, or in ~/.bashrc:
#   source <(gantryctl completion bash)

_gantryctl() {
  local line=${COMP_LINE:0:COMP_POINT} words=() answer candidate
  # Not COMP_WORDS: bash splits those at = and : too.
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=("")
  local current=${words[${#words[@]} - 1]}
  COMPREPLY=()
  while IFS= read -r answer; do
    if [[ $answer == :files ]]; then
      while IFS= read -r candidate; do
        COMPREPLY+=("$candidate")
      done < <(compgen -f -- "${current#--*=}")
      compopt -o filenames 2>/dev/null
      continue
    fi
    candidate=${answer%%$'\t'*}
    # bash takes what follows = for the word.
    [[ $current == --*=* ]] && candidate=${candidate#*=}
    COMPREPLY+=("$candidate")
  done < <("${words[0]}" __complete -- "${words[@]:1}" 2>/dev/null)
}
complete -F _gantryctl gantryctl
)";

constexpr char kZsh[] = R"(#compdef gantryctl
# Completion of gantryctl for zsh. For this shell, or in ~/.zshrc after compinit:
#   source <(gantryctl completion zsh)
# or as a file _gantryctl in a directory of $fpath.

_gantryctl() {
  local answer word files=0
  local -a plain described
  for answer in "${(@f)$("${words[1]}" __complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)}"; do
    if [[ $answer == :files ]]; then
      files=1
    elif [[ -n $answer ]]; then
      word=${answer%%$'\t'*}
      plain+=("$word")
      described+=("${word//:/\\:}:${answer#*$'\t'}")
    fi
  done
  if ((${#plain})); then
    _describe -t values gantryctl described plain
  fi
  if ((files)); then
    compset -P '--*='
    _files
  fi
}

if [[ ${funcstack[1]-} == _gantryctl ]]; then
  _gantryctl "$@"
else
  compdef _gantryctl gantryctl
fi
)";

constexpr char kFish[] = R"(# Completion of gantryctl for fish. For this shell:
#   gantryctl completion fish | source
# or as the file ~/.config/fish/completions/gantryctl.fish.

function __gantryctl_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    for answer in ($words[1] __complete -- $words[2..-1] "$current" 2>/dev/null)
        if test "$answer" = :files
            __fish_complete_path "$current"
        else
            printf '%s\n' "$answer"
        end
    end
end

complete -c gantryctl -f -a '(__gantryctl_complete)'
)";

std::string FirstLine(const std::string& text) { return text.substr(0, text.find('\n')); }

// Whether a shell takes the name for nothing but a word: it comes from elsewhere.
bool IsPlain(const std::string& name) {
  return !name.empty() && std::all_of(name.begin(), name.end(), [](unsigned char c) {
    return absl::ascii_isalnum(c) || c == '-' || c == '_' || c == '.' || c == '/';
  });
}

bool TakesValue(const CLI::Option& option) { return option.get_items_expected_max() > 0; }

void Offer(const std::string& text, const std::string& description, const std::string& word,
           Completion& completion) {
  if (absl::StartsWith(text, word)) completion.candidates.push_back({text, description});
}

// What a value of this name can be. `word` is all of it that is there, with `prefix`.
void OfferValues(const std::string& value_name, const std::string& prefix, const std::string& word,
                 Completion& completion) {
  completion.prefix = prefix;
  completion.begin = word.substr(prefix.size());
  if (value_name.find('|') != std::string::npos) {
    for (const absl::string_view choice : absl::StrSplit(value_name, '|')) {
      Offer(absl::StrCat(prefix, choice), "", word, completion);
    }
  } else if (value_name == "FILE") {
    completion.files = true;
  } else if (value_name == "PROJECT") {
    completion.names = Completion::Names::kProjects;
  } else if (value_name == "STAGE") {
    completion.names = Completion::Names::kStageNames;
  } else if (value_name == "PROJECT[/STAGE]") {
    completion.names = Completion::Names::kStages;
  } else if (value_name == "KIND") {
    completion.names = Completion::Names::kKinds;
  }
}

bool IsProject(const CLI::Option& option) { return option.get_type_name() == "PROJECT"; }

const CLI::App* FindCommand(const CLI::App& app, const std::string& name) {
  const auto found = app.get_subcommands([&name](const CLI::App* command) {
    return command->get_name() == name && !command->get_group().empty();
  });
  return found.empty() ? nullptr : found.front();
}

}  // namespace

Completion Complete(const CLI::App& root, const std::vector<std::string>& words) {
  Completion completion;
  const std::string word = words.empty() ? "" : words.back();
  const CLI::App* app = &root;
  const CLI::Option* pending = nullptr;  // a flag whose value comes next
  std::size_t positions = 0;             // that are taken
  for (std::size_t i = 0; i + 1 < words.size(); ++i) {
    const std::string& before = words[i];
    if (pending != nullptr) {
      if (IsProject(*pending)) completion.project = before;
      pending = nullptr;
    } else if (before.size() > 1 && before[0] == '-') {
      const std::size_t equals = before.find('=');
      const CLI::Option* const option = app->get_option_no_throw(before.substr(0, equals));
      if (option == nullptr || !TakesValue(*option)) continue;
      if (equals == std::string::npos) {
        pending = option;
      } else if (IsProject(*option)) {
        completion.project = before.substr(equals + 1);
      }
    } else if (const CLI::App* const command = FindCommand(*app, before)) {
      app = command;
    } else {
      ++positions;
    }
  }

  const std::size_t equals = word.find('=');
  if (pending != nullptr) {
    OfferValues(pending->get_type_name(), "", word, completion);
  } else if (absl::StartsWith(word, "--") && equals != std::string::npos) {
    const CLI::Option* const option = app->get_option_no_throw(word.substr(0, equals));
    if (option != nullptr) {
      OfferValues(TakesValue(*option) ? option->get_type_name() : "true|false",
                  word.substr(0, equals + 1), word, completion);
    }
  } else if (absl::StartsWith(word, "-")) {
    for (const CLI::Option* option : app->get_options()) {
      for (const std::string& name : option->get_lnames()) {
        Offer(absl::StrCat("--", name), FirstLine(option->get_description()), word, completion);
      }
    }
  } else {
    for (const CLI::App* command :
         app->get_subcommands([](const CLI::App* any) { return !any->get_group().empty(); })) {
      Offer(command->get_name(), FirstLine(command->get_description()), word, completion);
    }
    const auto positional =
        app->get_options([](const CLI::Option* option) { return option->get_positional(); });
    if (positions < positional.size()) {
      OfferValues(positional[positions]->get_name(true), "", word, completion);
    }
  }
  return completion;
}

std::string RenderCompletion(const Completion& completion, const std::vector<std::string>& names) {
  std::string text;
  for (const Candidate& candidate : completion.candidates) {
    absl::StrAppend(&text, candidate.text, "\t", OneLine(candidate.description), "\n");
  }
  for (const std::string& name : names) {
    if (!absl::StartsWith(name, completion.begin) || !IsPlain(name)) continue;
    absl::StrAppend(&text, completion.prefix, name, "\t\n");
  }
  if (completion.files) text += ":files\n";
  return text;
}

std::optional<std::string> CompletionScript(const std::string& shell) {
  if (shell == "bash") return kBash;
  if (shell == "zsh") return kZsh;
  if (shell == "fish") return kFish;
  return std::nullopt;
}

}  // namespace gantry::gantryctl
