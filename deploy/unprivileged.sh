#!/bin/sh
# Runs a command as the user nobody, without rights, on a file system that is read-only but for one folder: as a
# container with `readOnlyRootFilesystem` and a volume does. Run it as root; the command starts in the folder.
#
#   sh deploy/unprivileged.sh /srv/data orchesty-worker check

set -eu

[ $# -ge 2 ] || { echo "Usage: $0 FOLDER COMMAND [ARGUMENT ...]" >&2; exit 2; }
folder=$(realpath "$1")
shift

exec unshare --mount --propagation private sh -eu -c '
    folder=$1
    shift
    mount --bind "$folder" "$folder"
    mount --options remount,bind,ro /
    mount --types tmpfs --options ro,mode=755 tmpfs /dev/shm
    cd "$folder"
    export HOME="$folder" TMPDIR="$folder"
    exec setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs --bounding-set -all --inh-caps -all "$@"
' sh "$folder" "$@"
