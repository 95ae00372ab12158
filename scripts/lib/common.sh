# Shared by the scripts beside this folder: where things lie, how steps are announced, what gets installed.
# Sourced, never run. Callers have set -euo pipefail already.
# shellcheck shell=bash

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
VENV=$ROOT/.venv
# shellcheck disable=SC2034  # for the scripts that source this
LAB=${BOOTABLE_LAB:-$ROOT/.lab}
CACHE=$ROOT/.cache
export ANSIBLE_COLLECTIONS_PATH=$CACHE/collections
export ANSIBLE_FORCE_COLOR=${ANSIBLE_FORCE_COLOR:-0}
# mkfs and the like lie where an ordinary user does not look.
export PATH=$VENV/bin:$PATH:/usr/sbin:/sbin

# Root is needed for packages, for Ceph's and RabbitMQ's users and for mounting test file systems.
AS_ROOT=()
[ "$(id -u)" -eq 0 ] || AS_ROOT=(sudo)

STARTED=$SECONDS
STEP=0
STEPS=${STEPS:-0}

# step TEXT: "[2/7] +41s TEXT"
step() {
    STEP=$((STEP + 1))
    if [ "$STEPS" -gt 0 ]; then
        printf '\n[%d/%d] +%ds  %s\n' "$STEP" "$STEPS" $((SECONDS - STARTED)) "$*"
    else
        printf '\n[%d] +%ds  %s\n' "$STEP" $((SECONDS - STARTED)) "$*"
    fi
}

die() {
    printf 'error: %s\n' "$*" >&2
    exit 1
}

# The distribution's own interpreter: Ceph's bindings (python3-rbd) are built for it and for no other.
system_python() {
    local candidate
    for candidate in /usr/bin/python3 "$(command -v python3 || true)"; do
        if [ -x "$candidate" ] && "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    die "Python 3.11 or newer is needed (Debian 12, Ubuntu 24.04 or later); found: $(python3 --version 2>&1)"
}

# install_quietly PACKAGE...: installs, and starts no service: the lab runs its own processes on its own ports. In a
# subshell, since it sets a trap. A policy that the machine has already stays as it is.
install_quietly() {
    local policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | "${AS_ROOT[@]}" tee "$policy"
        "${AS_ROOT[@]}" chmod 755 "$policy"
        # shellcheck disable=SC2064
        trap "${AS_ROOT[*]} rm -f $policy" EXIT
    fi
    "${AS_ROOT[@]}" apt-get update -qq
    "${AS_ROOT[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}

# ensure_packages PACKAGE...: installs those that are missing; asks the registry only then.
ensure_packages() {
    local missing=() package
    for package in "$@"; do
        dpkg-query -W -f='${db:Status-Abbrev}' "$package" 2>/dev/null | grep -q '^ii' || missing+=("$package")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null || die "apt-get is needed to install: ${missing[*]}"
    printf 'installing %d system packages: %s\n' ${#missing[@]} "${missing[*]}"
    mkdir -p "$CACHE"
    (install_quietly "${missing[@]}") >"$CACHE/apt.log" 2>&1 || { tail -20 "$CACHE/apt.log" >&2; die "apt-get failed; the whole log is $CACHE/apt.log"; }
}

# ensure_pip VENV REQUIREMENTS...: a virtual environment that holds the requirement files, made anew when they change.
ensure_pip() {
    local venv=$1 stamp wanted
    shift
    stamp=$venv/.requirements
    wanted=$(cat "$@" | sha256sum)
    if [ -x "$venv/bin/python" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ]; then
        return 0
    fi
    printf 'installing Python packages into %s\n' "${venv#"$ROOT"/}"
    [ -x "$venv/bin/python" ] || "$(system_python)" -m venv "$venv"
    mkdir -p "$CACHE"
    local arguments=() file
    for file in "$@"; do arguments+=(-r "$file"); done
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "${arguments[@]}" \
        >"$CACHE/pip.log" 2>&1 || { tail -20 "$CACHE/pip.log" >&2; die "pip failed; the whole log is $CACHE/pip.log"; }
    printf '%s' "$wanted" >"$stamp"
}

# ensure_bindings VENV MODULE...: modules of the distribution, like Ceph's rados and rbd, and nothing else of its Python
# packages, whose versions would mix with those from pip.
ensure_bindings() {
    local venv=$1 site file module
    shift
    site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("platlib"))')
    for module in "$@"; do
        for file in /usr/lib/python3/dist-packages/"$module"{.py,.cpython-*.so}; do
            [ ! -e "$file" ] || ln -sfn "$file" "$site/"
        done
        "$venv/bin/python" -c "import $module" || die "the distribution's Python module $module does not load into $venv"
    done
}

# The collection under the path that ansible-core looks in, so that playbooks use the checkout itself.
ensure_collection_path() {
    mkdir -p "$ANSIBLE_COLLECTIONS_PATH/ansible_collections/bootable"
    ln -sfn "$ROOT" "$ANSIBLE_COLLECTIONS_PATH/ansible_collections/bootable/volumes"
}

# What every script needs: Python, ansible-core and the clients.
ensure_tools() {
    ensure_packages python3-venv git qemu-utils
    ensure_pip "$VENV" "$ROOT/requirements.txt" "$ROOT/requirements-dev.txt"
    ensure_collection_path
}
