#!/usr/bin/env bash
# What bash and zsh complete, with the scripts of `diffprob completion`; the manual page has every command and no error of troff.
# completion.sh PROGRAM WORK_FOLDER
set -euo pipefail
program=$1 work=$2
die() { printf 'FAILED: %s\n' "$*" >&2; exit 1; }
rm -rf "$work"
mkdir -p "$work"
for kind in bash zsh man; do "$program" completion "$kind" >"$work/$kind"; done
if "$program" completion fish >/dev/null 2>"$work/error"; then die "fish was taken"; fi
grep -q 'completion bash|zsh' "$work/error" || die "no usage: $(cat "$work/error")"

compopt() { :; }  # only there while the shell completes
. "$work/bash"
# completed WORD...: what bash offers for the last word, on one line; the caller cuts at "=" as bash does.
completed() {
  COMP_WORDS=(diffprob "$@") COMP_CWORD=$#
  _diffprob
  printf '%s\n' "${COMPREPLY[*]-}"
}
expect() {
  local wanted=$1
  shift
  local found
  found=$(completed "$@")
  [ "$found" = "$wanted" ] || die "after 'diffprob $*': expected '$wanted', got '$found'"
}
has() {
  local wanted=$1
  shift
  case " $(completed "$@") " in *" $wanted "*) ;; *) die "after 'diffprob $*': no $wanted in '$(completed "$@")'" ;; esac
}
lacks() {
  local unwanted=$1
  shift
  case " $(completed "$@") " in *" $unwanted "*) die "after 'diffprob $*': $unwanted" ;; esac
}
expect 'score' sco
has sweep ''
has 'dedup' data ''
has 'apply-proposals' data a
expect 'bash' completion b
has '--train.lr=' train --train.l
lacks '--prune.method=' train --
has '--prune.method=' run --prune.
has '--dry-run' run --dry
has '--eval.json=' eval --eval.j
has '--layout=' data pack a b --l
expect 'diffprob' prune --prune.method = diffp
has 'random' prune --prune.method =
expect 'true' run --run.compare_random = t
expect 'insightface im2rec' data pack a b --layout =
touch "$work/one.yaml"
expect "$work/one.yaml" run "$work/on"
expect "$work/one.yaml" train --data.train = "$work/on"
while read -r key; do
  grep -qF -- "--$key=" "$work/bash" || die "$key is not in bash's script"
  grep -qF -- "--$key=" "$work/zsh" || die "$key is not in zsh's script"
done < <("$program" config --print-defaults | awk '/^[a-z_]+:/ {section = $1} /^  [a-z_0-9]+:/ {print section $1}' | sed 's/:\(.\)/.\1/; s/:$//')

if command -v zsh >/dev/null; then
  zsh -n "$work/zsh" || die "zsh does not parse its script"
  # The functions of zsh's completion that the script calls, pretended.
  found=$(PREFIX='--prune.method=diff' zsh -fc 'compdef() { :; }; compset() { PREFIX=${PREFIX#*=}; }; compadd() { print -r -- "$@"; }
    _files() { print files; }; _describe() { print -rl -- "$1" "${(@P)3}" "${(@P)2}"; }; source '"$work"'/zsh; words=(diffprob prune x); CURRENT=3; _diffprob')
  case " $found " in *' balanced '*) ;; *) die "zsh offers '$found' for --prune.method=" ;; esac
  found=$(PREFIX='--tr' zsh -fc 'compdef() { :; }; _describe() { print -rl -- ${(@P)3}; }; source '"$work"'/zsh; words=(diffprob train x); CURRENT=3; _diffprob')
  case "$found" in *'--train.lr=:'*) ;; *) die "zsh offers '$found' for keys of train" ;; esac
else
  echo "zsh's script was not tried: no zsh here"
fi
for name in run "data dedup" completion; do grep -q "^\.SS diffprob $name\$" "$work/man" || die "the manual page lacks $name"; done
if command -v groff >/dev/null; then
  groff -man -ww -z -Tutf8 "$work/man" 2>"$work/troff" || die "groff failed"
  [ ! -s "$work/troff" ] || die "groff says: $(head -n 3 "$work/troff")"
  long=$(groff -man -Tascii -rLL=80n -P-cbou "$work/man" | awk 'length > 80' | head -n 3)
  [ -z "$long" ] || die "lines of the manual page are longer than 80 columns: $long"
else
  echo "the manual page was not formatted: no groff here"
fi
rm -rf "$work"
echo "passed: completion for bash and zsh, manual page"
