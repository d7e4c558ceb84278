// SPDX-License-Identifier: Apache-2.0
#include "server/argocd/git_url.h"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace gantry::argocd {
namespace {

struct UrlCase {
  std::string_view name;
  std::string_view url;
  std::string_view normalized;
};

TEST(NormalizeGitUrlTest, SpellingsOfOneRepositoryBecomeEqual) {
  constexpr std::string_view kHttps = "https://github.com/example/repo";
  constexpr std::string_view kSsh = "ssh://git@github.com/example/repo";
  const UrlCase cases[] = {
      {"as it should be", "https://github.com/example/repo", kHttps},
      {"trailing .git", "https://github.com/example/repo.git", kHttps},
      {"trailing slash", "https://github.com/example/repo/", kHttps},
      {"trailing .git and slash", "https://github.com/example/repo.git/", kHttps},
      {"upper case", "HTTPS://GitHub.com/Example/Repo.GIT", kHttps},
      {"user", "https://someone@github.com/example/repo", kHttps},
      {"user and password", "https://someone:secret@github.com/example/repo", kHttps},
      {"a password with an @", "https://someone:se@cret@github.com/example/repo", kHttps},
      {"empty user info", "https://@github.com/example/repo", kHttps},
      {"blanks around", "  https://github.com/example/repo\t\n", kHttps},
      {"blanks inside", "https://github.com/ example / repo", kHttps},
      {"blank before the suffix", "https://github.com/example/repo .git", kHttps},
      {"controls",
       "https://github.com/\x01"
       "example/re\x7Fpo\x1F",
       kHttps},
      {"a zero byte", std::string_view("https://github.com/example/repo\0", 32), kHttps},
      {"no-break space", "https://github.com/example/repo\u00A0", kHttps},
      {"zero-width space", "https://github.com/example/\u200Brepo", kHttps},
      {"byte order mark", "\uFEFFhttps://github.com/example/repo", kHttps},
      {"right-to-left override", "https://github.com/example/\u202Erepo", kHttps},
      {"ideographic space", "https://github.com/example/repo\u3000", kHttps},
      {"private use", "https://github.com/example/repo\uE000\U000F0000", kHttps},
      {"tag character", "https://github.com/example/repo\U000E0041", kHttps},

      {"ssh", "ssh://git@github.com/example/repo", kSsh},
      {"ssh, .git", "ssh://git@github.com/example/repo.git", kSsh},
      {"ssh, .git and slash", "ssh://git@github.com/example/repo.git/", kSsh},
      {"ssh, upper case", "SSH://Git@GitHub.com/Example/Repo", kSsh},
      {"scp-like", "git@github.com:example/repo", kSsh},
      {"scp-like, .git", "git@github.com:example/repo.git", kSsh},
      {"scp-like, .git and slash", "git@github.com:example/repo.git/", kSsh},
      {"scp-like, absolute path", "git@github.com:/example/repo", kSsh},
      {"scp-like, upper case", "GIT@GitHub.com:Example/Repo.Git", kSsh},
      {"scp-like, blanks", " git@github.com: example/repo ", kSsh},
  };
  for (const UrlCase& c : cases) {
    EXPECT_EQ(NormalizeGitUrl(c.url), c.normalized) << c.name;
  }
}

TEST(NormalizeGitUrlTest, WhatDiffersStaysDifferent) {
  const UrlCase cases[] = {
      {"http is not https", "http://github.com/example/repo.git", "http://github.com/example/repo"},
      {"port", "https://git.example.com:8443/a/b.git", "https://git.example.com:8443/a/b"},
      {"the default port", "https://github.com:443/a/b", "https://github.com:443/a/b"},
      {"port after user info", "https://u:p@git.example.com:8443/a",
       "https://git.example.com:8443/a"},
      {"ssh with a port", "ssh://git@git.example.com:2222/a/b.git",
       "ssh://git@git.example.com:2222/a/b"},
      {"ssh without a user", "ssh://git.example.com/a/b.git", "ssh://git.example.com/a/b"},
      {"ssh keeps a password", "ssh://git:pw@git.example.com/a", "ssh://git:pw@git.example.com/a"},
      {"scp-like, what looks like a port", "git@git.example.com:2222/a",
       "ssh://git@git.example.com/2222/a"},
      {"scp-like, home", "git@git.example.com:~me/a.git", "ssh://git@git.example.com/~me/a"},
      {"scp-like, a colon in the path", "git@git.example.com:a:b", "ssh://git@git.example.com/a:b"},
      {"scp-like, an @ in the path", "git@git.example.com:a@b/c",
       "ssh://git@git.example.com/a@b/c"},
      {"scp-like, a dotted user", "me.too@git.example.com:a", "ssh://me.too@git.example.com/a"},
      {"scp-like, a short host", "git@forge:a/b", "ssh://git@forge/a/b"},
      {"IPv4", "https://192.0.2.7/a.git", "https://192.0.2.7/a"},
      {"IPv6", "https://[2001:DB8::1]/a.git", "https://[2001:db8::1]/a"},
      {"IPv6 with a port", "https://[2001:db8::1]:8443/a.git", "https://[2001:db8::1]:8443/a"},
      {"IPv6 with user info", "https://u:p@[2001:db8::1]/a", "https://[2001:db8::1]/a"},
      {"ssh, IPv6", "ssh://git@[::1]:22/a.git", "ssh://git@[::1]:22/a"},
      {"scp-like, IPv6", "git@[::1]:a/b.git", "ssh://git@[::1]/a/b"},
      {"only a host", "https://github.com", "https://github.com"},
      {"only a host and a slash", "https://github.com/", "https://github.com"},
      {"the suffix of a host is its name", "https://forge.git", "https://forge.git"},
      {"one .git only", "https://github.com/a/b.git.git", "https://github.com/a/b.git"},
      {"one slash only", "https://github.com/a/b//", "https://github.com/a/b/"},
      {"no slash after .git went", "https://github.com/a/.git", "https://github.com/a/"},
      {".git inside", "https://github.com/a.git/b", "https://github.com/a.git/b"},
      {"not .git", "https://github.com/a/bgit", "https://github.com/a/bgit"},
      {"escapes are compared in lower case", "https://github.com/a%2Fb",
       "https://github.com/a%2fb"},
      {"no decoding", "https://github.com/%61", "https://github.com/%61"},
      {"an @ in the path", "https://github.com/a@b", "https://github.com/a@b"},
      {"other letters keep their case", "https://github.com/\u00C9T\u00C9.git",
       "https://github.com/\u00C9t\u00C9"},
      {"a host in another script", "https://b\u00FCcher.example/a.git",
       "https://b\u00FCcher.example/a"},
  };
  for (const UrlCase& c : cases) {
    EXPECT_EQ(NormalizeGitUrl(c.url), c.normalized) << c.name;
  }
}

TEST(NormalizeGitUrlTest, WhatIsNotUnderstoodStaysAsItIs) {
  const struct {
    std::string_view name;
    std::string_view url;
  } cases[] = {
      {"empty", ""},
      {"blanks", " \t "},
      {"a query", "https://u:p@GitHub.com/Example/Repo.git?ref=main"},
      {"an empty query", "https://GitHub.com/Example/Repo.git?"},
      {"a query after ssh", "ssh://git@GitHub.com/Repo.git?x"},
      {"a query after an scp-like URL", "git@GitHub.com:Repo.git?x"},
      {"a query right after the host", "https://GitHub.com?x=/Repo.git"},
      {"a fragment", "https://GitHub.com/Example/Repo.git#main"},
      {"oci", "oci://ghcr.io/Example/Chart.git/"},
      {"git protocol", "git://GitHub.com/Example/Repo.git"},
      {"git+ssh", "git+ssh://git@GitHub.com/Repo.git"},
      {"file URL", "file:///srv/Git/Repo.git"},
      {"absolute path", "/srv/Git/Repo.git"},
      {"relative path", "../Repo.git/"},
      {"a drive", "C:/Repo.git"},
      {"a drive and backslashes", "C:\\Repo.git"},
      {"scp-like without a user", "GitHub.com:Example/Repo.git"},
      {"scp-like with an empty user", "@GitHub.com:Repo.git"},
      {"scp-like without a host", "git@:Repo.git"},
      {"scp-like without a path", "git@GitHub.com:"},
      {"scp-like, only a slash", "git@GitHub.com:/"},
      {"scp-like without a colon", "git@GitHub.com/Repo.git"},
      {"scp-like with a password", "git:pw@GitHub.com:Repo.git"},
      {"scp-like, the @ belongs to the path", "./a/me@GitHub.com:Repo.git"},
      {"scp-like, open bracket", "git@[::1:Repo.git"},
      {"scp-like, bracket and no colon", "git@[::1]/Repo.git"},
      {"a host alone", "GitHub.com/Example/Repo.git"},
      {"scheme alone", "HTTPS://"},
      {"scheme and a path", "https:///Repo.git"},
      {"user info and no host", "https://me@/Repo.git"},
      {"one slash", "https:/GitHub.com/Repo.git"},
      {"a port that is none", "ssh://git@GitHub.com:Example/Repo.git"},
      {"an empty port", "https://GitHub.com:/Repo.git"},
      {"a port too long", "https://GitHub.com:123456/Repo.git"},
      {"a negative port", "https://GitHub.com:-1/Repo.git"},
      {"an IPv6 address without brackets", "https://2001:DB8::1/Repo.git"},
      {"an open bracket", "https://[2001:DB8::1/Repo.git"},
      {"text after the bracket", "https://[2001:DB8::1]x/Repo.git"},
      {"brackets around a name", "https://[GitHub]/Repo.git"},
      {"an IPv6 zone", "https://[fe80::1%25Eth0]/Repo.git"},
      {"a broken escape", "https://GitHub.com/Re%zzpo.git"},
      {"an escape cut off", "https://GitHub.com/Repo%4"},
      {"a host with strange characters", "https://Git<Hub>.com/Repo.git"},
      {"a lone continuation byte", "https://GitHub.com/Repo\x80.git"},
      {"a sequence cut off", "https://GitHub.com/Repo\xE2\x80"},
      {"an overlong slash", "https://GitHub.com\xC0\xAFRepo.git"},
      {"a surrogate", "https://GitHub.com/Repo\xED\xA0\x80.git"},
      {"beyond Unicode", "https://GitHub.com/Repo\xF4\x90\x80\x80.git"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(NormalizeGitUrl(c.url), c.url) << c.name;
  }
}

TEST(NormalizeGitUrlTest, LongInputs) {
  const std::string long_path(1 << 20, 'A');
  EXPECT_EQ(NormalizeGitUrl("https://h/" + long_path + ".git"),
            "https://h/" + std::string(1 << 20, 'a'));
  const std::string ats(1 << 20, '@');
  EXPECT_EQ(NormalizeGitUrl(ats), ats);
  const std::string slashes(1 << 20, '/');
  EXPECT_EQ(NormalizeGitUrl(slashes), slashes);
}

}  // namespace
}  // namespace gantry::argocd
