/**
 * Stand-in for `systemctl` and the part of systemd below it: reads unit files and drop-ins in `/etc/systemd/system`;
 * starts, supervises, restarts and stops services. `docker.service` is built in, as the package would install it. Fails
 * on every verb, option and directive that it does not know; it ignores nothing silently.
 * Sources: https://www.freedesktop.org/software/systemd/man/latest/systemd.service.html, systemd.unit.html,
 * systemd.exec.html and systemd.kill.html there.
 *
 * It is a shell script, not a Node.js program, because every node runs it several times during boot and a shell starts
 * faster.
 */

/**
 * Where the state of units is stored: a folder UNIT with `supervisor`, `main` and `listener` (process ids), `ready`,
 * `failed` (the last run ended before it was ready), `stopping`; and UNIT.starts.
 */
export const SYSTEMD_STATE = '/run/systemd/stand-in';

export const SYSTEMCTL = `#!/bin/bash
base=${SYSTEMD_STATE}
fail() { echo "systemctl stand-in: $*" >&2; exit 64; }

# Waits a moment without a process of its own: nothing is ever written there.
exec {never}<> <(:)
pause() { ! read -r -t 0.02 -u "$never"; }

# What the unit of Amazon Linux's package comes down to. Type=notify: starting it takes until the engine answers. Its socket unit comes with it and can be stopped, but never runs here: nobody may connect to an engine that does not run.
docker_unit() {
  printf '%s\\n' '[Unit]' 'After=network-online.target' 'StartLimitIntervalSec=60' 'StartLimitBurst=3' '[Service]' 'Type=notify' 'ExecStart=/usr/bin/dockerd' \\
    'Restart=always' 'RestartSec=2' 'KillMode=process' '[Install]' 'WantedBy=multi-user.target'
}

declare -A value
load() {
  unit=$1 state=$base/$1 environment=() conditions=()
  local file=/etc/systemd/system/$unit.service section= line key
  value=([StartLimitIntervalSec]=10 [StartLimitBurst]=5 [Type]=simple [Restart]=no [RestartSec]=0.1 [KillMode]=control-group [TimeoutStopSec]=90 [StandardOutput]="append:/var/log/$unit.log" [StandardError]=inherit [WorkingDirectory]=/)
  [ -f "$file" ] || [ "$unit-$(type -P dockerd)" = docker-/usr/bin/dockerd ] || { echo "Unit $unit.service could not be found." >&2; exit 5; }
  while IFS= read -r line || [ -n "$line" ]; do
    key=\${line%%=*}
    case "$line" in
      '' | '#'* | ';'*) ;;
      '[Unit]' | '[Service]' | '[Install]') section=$line ;;
      '['*) fail "unknown section $line of unit $unit" ;;
      *'\\') fail "continued lines are not known: $line (unit $unit)" ;;
      *) case "$section$key" in
          '[Unit]Description' | '[Unit]Documentation' | '[Unit]After' | '[Unit]Before' | '[Unit]Wants' | '[Install]WantedBy') ;;
          '[Unit]ConditionPathIsMountPoint' | '[Unit]ConditionPathExists') conditions+=("$line") ;;
          '[Service]Environment') add_environment "\${line#*=}" ;;
          '[Unit]StartLimitIntervalSec' | '[Unit]StartLimitBurst' | '[Service]Type' | '[Service]ExecStart' | '[Service]Restart' | '[Service]RestartSec' | '[Service]KillMode' | '[Service]TimeoutStopSec' | '[Service]StandardOutput' | '[Service]StandardError' | '[Service]WorkingDirectory')
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
  value[RestartSec]=\${value[RestartSec]%s} value[TimeoutStopSec]=\${value[TimeoutStopSec]%s} value[StartLimitIntervalSec]=\${value[StartLimitIntervalSec]%s}
  [[ \${value[RestartSec]} =~ ^[0-9]+(\\.[0-9]+)?$ ]] || fail "unknown RestartSec=\${value[RestartSec]} of unit $unit"
  for key in TimeoutStopSec StartLimitIntervalSec StartLimitBurst; do [[ \${value[$key]} =~ ^[0-9]+$ ]] || fail "unknown $key=\${value[$key]} of unit $unit"; done
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

# A unit that is started too often is not started any more, whoever asks, until the interval is over. Unmet conditions count too: they are looked at afterwards.
within_start_limit() {
  local now begin=0 starts=0
  [ "\${value[StartLimitIntervalSec]}" -gt 0 ] || return 0
  read -r now _ < /proc/uptime; now=$((10#\${now/.})) # hundredths of a second
  [ ! -f "$state.starts" ] || read -r begin starts < "$state.starts"
  [ $starts -gt 0 ] && [ $((now - begin)) -le $((100 * value[StartLimitIntervalSec])) ] || { begin=$now; starts=0; }
  [ $starts -lt "\${value[StartLimitBurst]}" ] || return 1
  echo "$begin $((starts + 1))" > "$state.starts"
}

# An unmet condition is no error: the unit just does not start.
skipped() { conditions_met && return 1; echo "$unit.service was skipped because of an unmet condition check." >> "/var/log/$unit.log"; }

alive() { local process; { read -r process < "$1"; } 2> /dev/null && kill -0 "$process" 2> /dev/null; }

start() {
  load "$1"
  if alive "$state/supervisor"; then
    # Where it waits to be restarted, a start waits with it.
    while [ -e "$state/failed" ] && alive "$state/supervisor"; do pause; done
  else
    within_start_limit || { echo "Job for $unit.service failed: start request repeated too quickly." >&2; exit 1; }
    ! skipped || return 0
    rm -rf "$state"; mkdir -p "$state"
    setsid "$0" --supervise "$unit" < /dev/null > /dev/null 2>> "/var/log/$unit.log" &
    echo $! > "$state/supervisor"
  fi
  local supervised=1
  until [ -e "$state/ready" ]; do
    # Looked at first: a supervisor writes how its service ended before it ends itself.
    alive "$state/supervisor" || supervised=
    [ ! -e "$state/failed" ] || { echo "Job for $unit.service failed because the control process exited with error code; see /var/log/$unit.log." >&2; exit 1; }
    [ -n "$supervised" ] || return 0
    pause
  done
}

# The other end of sd_notify: https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
listen() {
  rm -f "$state/notify"
  perl -MSocket -e '
    socket(NOTIFY, AF_UNIX, SOCK_DGRAM, 0) && bind(NOTIFY, pack_sockaddr_un($ARGV[0])) or die "$!";
    while (defined recv(NOTIFY, $message, 4096, 0)) { if ($message =~ /^READY=1$/m) { open(READY, ">", $ARGV[1]); exit } }' "$state/notify" "$state/ready" &
  echo $! > "$state/listener"
  until [ -S "$state/notify" ]; do alive "$state/listener" || fail "perl cannot listen on $state/notify"; pause; done
}

supervise() {
  load "$1"
  read -r -a command <<< "\${value[ExecStart]}"
  # Job control gives the service a process group of its own.
  set -m
  cd "\${value[WorkingDirectory]}" || exit 1
  [ "\${value[Type]}" = notify ] && environment+=("NOTIFY_SOCKET=$state/notify")
  while :; do
    rm -f "$state/failed"
    [ "\${value[Type]}" != notify ] || listen
    env -i PATH="$PATH" LANG=C.UTF-8 AWS_ENDPOINT_URL="$AWS_ENDPOINT_URL" "\${environment[@]}" "\${command[@]}" < /dev/null >> "\${value[StandardOutput]#append:}" 2>&1 {never}>&- &
    main=$!
    echo $main > "$state/main"
    [ "\${value[Type]}" = notify ] || : > "$state/ready"
    # With job control a process that is stopped counts as one that has ended. (\`wait -f\` knows better, but never returns, and complains without end, where the process has ended before it: bash 5.2.)
    while :; do
      wait $main; code=$?
      alive "$state/main" || break
      pause
    done
    [ -e "$state/stopping" ] && exit
    alive "$state/listener" && kill "$(< "$state/listener")"
    [ -e "$state/ready" ] || : > "$state/failed"
    rm -f "$state/ready" "$state/main"
    case "\${value[Restart]}-$code" in always-* | on-failure-[1-9]*) ;; *) exit ;; esac
    sleep "\${value[RestartSec]}"
    within_start_limit || { echo "$unit.service: start request repeated too quickly." >&2; : > "$state/failed"; exit; }
    ! skipped || { rm -f "$state/failed"; exit; }
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
  for process in supervisor listener; do alive "$state/$process" && kill -KILL "$(< "$state/$process")" 2> /dev/null; done
  rm -rf "$state"
}

# Everything of the unit gets the signal; the supervisor does as if the service had ended by itself.
signal() {
  load "$1"
  alive "$state/main" || { echo "Failed to kill unit $unit.service: No process to kill." >&2; exit 1; }
  kill "-$2" -- "-$(< "$state/main")"
}

mkdir -p "$base"
verb=$1; shift
now= quiet= signal=
while [ "\${1#--}" != "$1" ]; do
  case "$verb $1" in 'enable --now') now=1 ;; 'is-active --quiet') quiet=1 ;; 'kill --signal=SIGKILL') signal=KILL ;; *) fail "unknown option $1 of $verb" ;; esac
  shift
done
case "$verb" in daemon-reload) [ $# = 0 ] || fail "daemon-reload takes no arguments, was given: $*" ;; stop) [ $# -gt 0 ] || fail 'stop takes units' ;; *) [ $# = 1 ] || fail "knows $verb with exactly one unit, was given: $*" ;; esac
unit=\${1%.service}
for name; do
  [[ \${name%.service} =~ ^[A-Za-z0-9_-]+$ || "$verb $name" == 'stop docker.socket' ]] || fail "unknown unit $name"
done
case "$verb" in
  daemon-reload) ;;
  enable) load "$unit"; echo "Created symlink for $unit.service." >&2; [ -z "$now" ] || start "$unit" ;;
  start) start "$unit" ;;
  stop) for name; do if [ "$name" = docker.socket ]; then load docker; else stop "\${name%.service}"; fi; done ;;
  restart) stop "$unit"; start "$unit" ;;
  kill) [ -n "$signal" ] || fail 'knows kill with --signal=SIGKILL only'; signal "$unit" "$signal" ;;
  is-active)
    if alive "$base/$unit/main" && [ -e "$base/$unit/ready" ]; then answer=active; elif alive "$base/$unit/supervisor"; then answer=activating; else answer=inactive; fi
    [ -n "$quiet" ] || echo $answer
    [ $answer = active ] || exit 3 ;;
  --supervise) supervise "$unit" ;;
  *) fail "unknown verb $verb" ;;
esac
`;
