/**
 * Stand-in for `systemctl` and the part of systemd below it: reads unit files and drop-ins of `/etc/systemd/system`, starts, supervises, restarts and stops services.
 * `docker.service` is built in, as the package would bring it. Fails on every verb, option and directive that it does not know: nothing is silently ignored.
 * Sources: https://www.freedesktop.org/software/systemd/man/latest/systemd.service.html, systemd.unit.html, systemd.exec.html and systemd.kill.html there.
 *
 * A shell script rather than a Node.js program because every node runs it several times while it boots.
 */

/** State of a unit lies in /run/systemd/stand-in/UNIT: `supervisor` and `main` (process ids), `ready`, `exited`, `stopping`. */
export const SYSTEMCTL = `#!/bin/bash
base=/run/systemd/stand-in
fail() { echo "systemctl stand-in: $*" >&2; exit 64; }

# What the unit of Amazon Linux's package comes down to. Type=notify: starting it takes until the engine answers.
docker_unit() {
  printf '%s\\n' '[Unit]' 'After=network-online.target' '[Service]' 'Type=notify' 'ExecStart=/usr/bin/dockerd' \\
    'Restart=always' 'RestartSec=2' 'KillMode=process' '[Install]' 'WantedBy=multi-user.target'
}

declare -A value
load() {
  unit=$1 state=$base/$1 environment=() conditions=()
  local file=/etc/systemd/system/$unit.service section= line key
  value=([Type]=simple [Restart]=no [RestartSec]=0.1 [KillMode]=control-group [TimeoutStopSec]=90 [StandardOutput]="append:/var/log/$unit.log" [StandardError]=inherit [WorkingDirectory]=/)
  [ -f "$file" ] || [ "$unit-$(type -P dockerd)" = docker-/usr/bin/dockerd ] || { echo "Unit $unit.service could not be found." >&2; exit 5; }
  while IFS= read -r line || [ -n "$line" ]; do
    key=\${line%%=*}
    case "$line" in
      '' | '#'* | ';'*) ;;
      '[Unit]' | '[Service]' | '[Install]') section=$line ;;
      '['*) fail "unknown section $line of unit $unit" ;;
      *'\\') fail "continued lines are not known: $line (unit $unit)" ;;
      *) case "$section$key" in
          '[Unit]Description' | '[Unit]Documentation' | '[Unit]After' | '[Unit]Before' | '[Unit]Wants' | '[Unit]StartLimitIntervalSec' | '[Install]WantedBy') ;;
          '[Unit]ConditionPathIsMountPoint' | '[Unit]ConditionPathExists') conditions+=("$line") ;;
          '[Service]Environment') add_environment "\${line#*=}" ;;
          '[Service]Type' | '[Service]ExecStart' | '[Service]Restart' | '[Service]RestartSec' | '[Service]KillMode' | '[Service]TimeoutStopSec' | '[Service]StandardOutput' | '[Service]StandardError' | '[Service]WorkingDirectory')
            value[$key]=\${line#*=} ;;
          *) fail "unknown directive $key in section $section of unit $unit" ;;
        esac ;;
    esac
  done < <(
    if [ -f "$file" ]; then cat "$file"; else docker_unit; fi
    for drop_in in "/etc/systemd/system/$unit.service.d"/*.conf; do [ -f "$drop_in" ] && { echo; cat "$drop_in"; }; done)
  case "\${value[Type]}" in simple | exec) ;; notify) [ "$unit" = docker ] || fail "Type=notify is known for docker only, not for $unit" ;; *) fail "unknown Type=\${value[Type]} of unit $unit" ;; esac
  case "\${value[Restart]}" in no | always | on-failure) ;; *) fail "unknown Restart=\${value[Restart]} of unit $unit" ;; esac
  case "\${value[KillMode]}" in control-group | mixed | process) ;; *) fail "unknown KillMode=\${value[KillMode]} of unit $unit" ;; esac
  case "\${value[StandardOutput]}" in append:/*) ;; *) fail "unknown StandardOutput=\${value[StandardOutput]} of unit $unit" ;; esac
  case "\${value[StandardError]}" in inherit | "\${value[StandardOutput]}") ;; *) fail "unknown StandardError=\${value[StandardError]} of unit $unit" ;; esac
  value[RestartSec]=\${value[RestartSec]%s} value[TimeoutStopSec]=\${value[TimeoutStopSec]%s}
  [[ \${value[RestartSec]} =~ ^[0-9]+(\\.[0-9]+)?$ ]] || fail "unknown RestartSec=\${value[RestartSec]} of unit $unit"
  [[ \${value[TimeoutStopSec]} =~ ^[0-9]+$ ]] || fail "unknown TimeoutStopSec=\${value[TimeoutStopSec]} of unit $unit"
  [[ \${value[ExecStart]} =~ ^/[^\\"\\'\\$%\\;]*$ ]] || fail "unknown ExecStart=\${value[ExecStart]} of unit $unit: it must begin with a path and have no quotes, specifiers or variables"
}

add_environment() {
  case "$1" in
    '"'*'"') local inner=\${1#?}; inner=\${inner%?}; [[ $inner == *'"'* ]] && fail "unknown Environment=$1 of unit $unit"; environment+=("$inner") ;;
    *[\\"\\'%]*) fail "unknown Environment=$1 of unit $unit" ;;
    *) read -r -a words <<< "$1"; environment+=("\${words[@]}") ;;
  esac
}

conditions_met() {
  local condition path
  for condition in "\${conditions[@]}"; do
    path=\${condition#*=}
    case "$condition" in
      ConditionPathIsMountPoint=/*) mountpoint -q "$path" || return 1 ;;
      ConditionPathExists=/*) [ -e "$path" ] || return 1 ;;
      *) fail "unknown condition $condition of unit $unit" ;;
    esac
  done
}

alive() { [ -s "$1" ] && kill -0 "$(< "$1")" 2> /dev/null; }

start() {
  load "$1"
  alive "$state/supervisor" && return
  # An unmet condition is no error: the unit just does not start.
  conditions_met || { echo "$unit.service was skipped because of an unmet condition check." >> "/var/log/$unit.log"; return 0; }
  rm -rf "$state"; mkdir -p "$state"
  if [ "\${value[Type]}" = notify ]; then
    # The other end of sd_notify: https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
    coproc notified { exec perl -MSocket -e '
      socket(NOTIFY, AF_UNIX, SOCK_DGRAM, 0) && bind(NOTIFY, pack_sockaddr_un($ARGV[0])) or die "$!"; $| = 1; print "bound\\n";
      while (defined recv(NOTIFY, $message, 4096, 0)) { if ($message =~ /^READY=1$/m) { print "ready\\n"; exit } }' "$state/notify"; }
    local listener=$notified_PID word
    read -r word <&"\${notified[0]}" || fail "perl cannot listen on $state/notify"
  fi
  setsid "$0" --supervise "$unit" < /dev/null > /dev/null 2>> "/var/log/$unit.log" &
  echo $! > "$state/supervisor"
  if [ "\${value[Type]}" = notify ]; then
    until read -r -t 0.1 word <&"\${notified[0]}"; do
      [ -e "$state/exited" ] || continue
      kill "$listener" 2> /dev/null
      echo "Job for $unit.service failed because the control process exited with error code; see /var/log/$unit.log." >&2
      exit 1
    done
  fi
  : > "$state/ready"
}

supervise() {
  load "$1"
  read -r -a command <<< "\${value[ExecStart]}"
  # Job control gives the service a process group of its own.
  set -m
  cd "\${value[WorkingDirectory]}" || exit 1
  [ "\${value[Type]}" = notify ] && environment+=("NOTIFY_SOCKET=$state/notify")
  while :; do
    env -i PATH="$PATH" LANG=C.UTF-8 AWS_ENDPOINT_URL="$AWS_ENDPOINT_URL" "\${environment[@]}" "\${command[@]}" < /dev/null >> "\${value[StandardOutput]#append:}" 2>&1 &
    echo $! > "$state/main"
    wait $!; code=$?
    : > "$state/exited"; rm -f "$state/main"
    [ -e "$state/stopping" ] && exit
    case "\${value[Restart]}-$code" in always-* | on-failure-[1-9]*) ;; *) exit ;; esac
    sleep "\${value[RestartSec]}"
    conditions_met || exit
  done
}

stop() {
  load "$1"
  alive "$state/supervisor" || { rm -rf "$state"; return 0; }
  : > "$state/stopping"
  local main group
  main=$(cat "$state/main" 2> /dev/null)
  if [ -n "$main" ]; then
    [ "\${value[KillMode]}" = control-group ] && group=- || group=
    kill -TERM -- "$group$main" 2> /dev/null
    # \`tail --pid\` waits for a process that is not ours.
    timeout "\${value[TimeoutStopSec]}" tail --pid="$main" -s 0.02 -f /dev/null || kill -KILL "$main" 2> /dev/null
    [ "\${value[KillMode]}" = process ] || kill -KILL -- "-$main" 2> /dev/null
  fi
  kill -KILL "$(< "$state/supervisor")" 2> /dev/null
  rm -rf "$state"
}

mkdir -p "$base"
verb=$1; shift
now= quiet=
while [ "\${1#--}" != "$1" ]; do
  case "$verb $1" in 'enable --now') now=1 ;; 'is-active --quiet') quiet=1 ;; *) fail "unknown option $1 of $verb" ;; esac
  shift
done
case "$verb" in daemon-reload) [ $# = 0 ] || fail "daemon-reload takes no arguments, was given: $*" ;; *) [ $# = 1 ] || fail "knows $verb with exactly one unit, was given: $*" ;; esac
unit=\${1%.service}
[[ $verb == daemon-reload || $unit =~ ^[A-Za-z0-9_-]+$ ]] || fail "unknown unit $1"
case "$verb" in
  daemon-reload) ;;
  enable) load "$unit"; echo "Created symlink for $unit.service." >&2; [ -z "$now" ] || start "$unit" ;;
  start) start "$unit" ;;
  stop) stop "$unit" ;;
  restart) stop "$unit"; start "$unit" ;;
  is-active)
    if alive "$base/$unit/main" && [ -e "$base/$unit/ready" ]; then answer=active; elif alive "$base/$unit/supervisor"; then answer=activating; else answer=inactive; fi
    [ -n "$quiet" ] || echo $answer
    [ $answer = active ] || exit 3 ;;
  --supervise) supervise "$unit" ;;
  *) fail "unknown verb $verb" ;;
esac
`;
