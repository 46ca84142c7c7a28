#!/bin/sh
# Hashes a file as a task: asks the scheduler for a place, begins the lease at
# the sidecar of this machine's worker, does the work, and reports the end.
#
#   setsid -w task.sh TASK-ID FILE
set -eu
scheduler=${DTASK_HTTP:-http://localhost:8080}
sidecar=${DTASK_SIDECAR:-http://localhost:9700}

# post URL BODY prints the answer; a refusal goes to the error output.
post() {
	if answer=$(curl -sS --fail-with-body --max-time 30 -d "$2" "$1"); then
		printf '%s\n' "$answer"
	else
		printf '%s\n' "$answer" >&2
		return 1
	fi
}

# The client's part: a lease on the worker that has all the tags and most room.
lease=$(post "$scheduler/api/v1/schedule" "{\"task_id\":\"$1\",\"required_tags\":[\"cpu\"]}")

# The worker's part, on the machine that the lease names. The task lives as long
# as this shell does: if it is killed, the lease ends as lost.
begun=$(post "$sidecar/begin?pid=$$" "$lease")
# The GPUs of the lease, and no others, if the worker lists any.
for name in CUDA_DEVICE_ORDER CUDA_VISIBLE_DEVICES; do
	case $begun in
	*"\"$name\":\""*) export "$name=$(printf '%s\n' "$begun" | sed "s/.*\"$name\":\"\([^\"]*\)\".*/\1/")" ;;
	esac
done
if sha256sum "$2"; then outcome=ok; else outcome=failed; fi
post "$sidecar/end?outcome=$outcome" "$lease" >/dev/null
