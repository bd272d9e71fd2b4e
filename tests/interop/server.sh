# For scripts in bash: a server on a free port with a folder of its own, and a count of what held.
# Sets WORK (a folder that is removed at the end), and after start_server URL and SERVER.

: "${HENCE_BIN:?names the hence binary}"
WORK=$(mktemp -d)
SERVER=
FAILED=0

leave() {
  local code=$?
  stop_server
  rm -rf "$WORK"
  exit "$code"
}
trap leave EXIT

# poll SECONDS COMMAND…: repeats the command until it succeeds.
poll() {
  local end=$((SECONDS + $1))
  shift
  until "$@"; do
    if ((SECONDS >= end)); then
      echo "gave up waiting for: $*" >&2
      return 1
    fi
    sleep 0.05
  done
}

listens() {
  URL=$(jq -r 'select(.message == "ready").listen' "$WORK/server.log" 2>/dev/null)
  [[ -n $URL ]] || ! kill -0 "$SERVER" 2>/dev/null
}

# start_server ARGUMENTS…: `hence dev` where the system has a free port; ends when it takes events.
start_server() {
  : >"$WORK/server.log"
  "$HENCE_BIN" dev --listen 127.0.0.1:0 "$@" >"$WORK/server.log" 2>"$WORK/server.err" &
  SERVER=$!
  poll 30 listens
  if [[ -z $URL ]] || ! poll 30 curl -sfo /dev/null "$URL/readyz"; then
    cat "$WORK/server.err" "$WORK/server.log" >&2
    exit 1
  fi
}

# stop_server [SIGNAL]: ends it and waits until it is gone.
stop_server() {
  [[ -n $SERVER ]] || return 0
  kill "-${1:-TERM}" "$SERVER" 2>/dev/null
  wait "$SERVER" 2>/dev/null
  SERVER=
}

# check WHAT EXPECTED FOUND
check() {
  if [[ $2 == "$3" ]]; then
    echo "  ok      $1"
  else
    echo "  FAILED  $1: expected '$2', found '$3'"
    FAILED=$((FAILED + 1))
  fi
}

# contains WHAT PART WHOLE
contains() {
  if [[ $3 == *"$2"* ]]; then
    echo "  ok      $1"
  else
    echo "  FAILED  $1: '$2' is not in '$3'"
    FAILED=$((FAILED + 1))
  fi
}

# needs PROGRAM…: without one of them the script cannot run.
needs() {
  local program
  for program; do
    if ! command -v "$program" >/dev/null; then
      echo "there is no $program"
      exit 77
    fi
  done
}

# finish: the exit code of the script.
finish() {
  ((FAILED == 0)) || echo "$FAILED did not hold"
  exit $((FAILED > 0))
}
