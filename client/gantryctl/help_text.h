// SPDX-License-Identifier: Apache-2.0
#ifndef GANTRY_CLIENT_GANTRYCTL_HELP_TEXT_H_
#define GANTRY_CLIENT_GANTRYCTL_HELP_TEXT_H_

// What stands below the flags in the help of each command.
namespace gantry::gantryctl {

inline constexpr char kMainHelp[] = R"(
Every flag that has a variable, GANTRY_SERVER for example, can be given by it;
a flag wins.

Examples:
  gantryctl run-step --project demo --stage prod --promotion p-17 step.yaml
  gantryctl health demo/prod
  gantryctl steps argocd-update
  gantryctl health --server gantry.example:443 --token-file /run/secrets/token

gantryctl run-step --help tells what a step file looks like, and gantryctl COMMAND
--help how the connection is secured.
)";

// Ends the help of every command that calls the service.
inline constexpr char kConnectionHelp[] = R"(
Connection:
  An address on this machine (localhost, 127.0.0.1, [::1], a Unix socket) is called
  in plain text; any other with TLS, and also one on this machine as soon as a token,
  a certificate or a CA is given. --plaintext and --plaintext=false say it outright.
  A token is never sent in plain text, except to this machine with --plaintext.
)";

inline constexpr char kRunStepHelp[] = R"(
The step is written as in a Kargo Stage or Promotion, in YAML or JSON:

  uses: argocd-update
  as: deploy
  config:
    apps:
    - name: guestbook
      sources:
      - repoURL: https://github.com/example/guestbook.git
        desiredRevision: 5f3c9d2a

Examples:
  gantryctl run-step --project demo --stage prod --promotion p-17 step.yaml
  gantryctl run-step --project demo --stage prod --promotion p-17 --dry-run step.yaml
  generate-step | gantryctl run-step --project demo --stage prod --promotion p-17 -o json -

Exit codes:
    0  the step succeeded; or a dry run found nothing against it
    1  the step failed, errored or was aborted, or the service refused the call
    2  the flags or the step file are wrong, or the service says the request is
    3  the step was still running at the timeout
    4  no service answers
  130  interrupted; the step goes on in the cluster
)";

inline constexpr char kHealthHelp[] = R"(
Several Stages are shown in a table: SINCE is when the state last changed, in
UTC, and of several issues the first is shown. One Stage is shown with its
Applications, where the revision that is wanted stands next to one that differs,
its indicators and all issues. The state of a Stage does not change the exit
code; -o json is there for scripts that act on it. -o wide adds when the promotion
was last heard of, how many Applications and indicators are healthy, and all issues.

With --watch the table comes first, then a row for each Stage that changes or is
deleted; with -o json each event is a document on a line of its own, with
-o yaml a document after ---. A stream that breaks is opened again, and what has
changed meanwhile is shown. Ctrl-C ends it. --wait-for watches as well, and ends as
soon as the Stage is in that state, also if it is not known yet.

Examples:
  gantryctl health
  gantryctl health shop
  gantryctl health shop/prod
  gantryctl health shop/prod -o yaml
  gantryctl health shop --watch
  gantryctl health shop/prod --wait-for healthy --timeout 10m
  gantryctl health --watch -o json | jq -c 'select(.updated.state == "HEALTH_STATE_UNHEALTHY")'

Exit codes:
    0  the service told the health; or the watch was ended, by Ctrl-C or at its timeout;
       or the Stage is in the state that was waited for
    1  the service refused the call or could not tell, or knows no such Stage
    2  the flags are wrong, or the service says the request is
    3  at the timeout the Stage is not in the state that is waited for
    4  no service answers
  130  interrupted, without --watch
)";

inline constexpr char kStepsHelp[] = R"(
Without KIND all kinds are listed. With it, the fields that the `config` of such a
step can have; with -o json or yaml the JSON Schema itself, which editors can check
a step file with.

Examples:
  gantryctl steps
  gantryctl steps -o wide
  gantryctl steps argocd-update
  gantryctl steps argocd-update -o json > argocd-update.schema.json

Exit codes:
    0  the service told
    1  the service refused the call, or knows no such kind
    2  the flags are wrong
    4  no service answers
  130  interrupted
)";

inline constexpr char kReportHelp[] = R"(
Examples:
  gantryctl report promotion --project demo --stage prod --promotion p-17 --phase succeeded
  gantryctl report indicator --project demo --stage prod --name smoke-test --state healthy
)";

inline constexpr char kReportPromotionHelp[] = R"(
For an orchestrator that knows more than the steps tell: that a promotion has begun,
was given up, or failed for a reason of its own. What is reported holds until a step
of the promotion, a later report or a later promotion says otherwise.

Examples:
  gantryctl report promotion --project demo --stage prod --promotion p-17 --phase running
  gantryctl report promotion --project demo --stage prod --promotion p-17 --phase failed \
      --message 'the approval was refused'

Exit codes:
    0  the report is recorded
    1  the service refused the call or could not record it
    2  the flags are wrong, or the service says the request is
    4  no service answers
  130  interrupted; the report may have been recorded
)";

inline constexpr char kReportIndicatorHelp[] = R"(
An indicator is what somebody outside, such as a test run or a monitoring rule, says
about a Stage; the Stage is as healthy as the worst of them, its Applications and its
promotion. With --ttl it becomes UNKNOWN unless it is reported again in time.

Examples:
  gantryctl report indicator --project demo --stage prod --name smoke-test --state healthy
  gantryctl report indicator --project demo --stage prod --name error-rate \
      --state unhealthy --message '5% of requests fail' --ttl 10m
  gantryctl report indicator --project demo --stage prod --name smoke-test --remove

Exit codes:
    0  the report is recorded
    1  the service refused the call or could not record it
    2  the flags are wrong, or the service says the request is
    4  no service answers
  130  interrupted; the report may have been recorded
)";

inline constexpr char kCompletionHelp[] = R"(
Commands, flags, their values, and the names of projects, Stages and kinds of steps,
which the service of GANTRY_SERVER or --server is asked for.

Examples:
  source <(gantryctl completion bash)
  gantryctl completion bash > /etc/bash_completion.d/gantryctl
  gantryctl completion zsh > "${fpath[1]}/_gantryctl"
  gantryctl completion fish > ~/.config/fish/completions/gantryctl.fish
)";

inline constexpr char kVersionHelp[] = R"(
Examples:
  gantryctl version
  gantryctl --version
)";

}  // namespace gantry::gantryctl

#endif  // GANTRY_CLIENT_GANTRYCTL_HELP_TEXT_H_
