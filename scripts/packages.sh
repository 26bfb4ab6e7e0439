# Package lists of Debian 12 and a function that installs what is missing. Sourced by run and test.

build_packages="gcc libc6-dev cmake ninja-build pkg-config git ca-certificates
libmicrohttpd-dev libcurl4-gnutls-dev libyaml-dev libpcre2-dev libzstd-dev libdeflate-dev
zlib1g-dev libjansson-dev libxxhash-dev nettle-dev"

test_packages="clang-14 libclang-rt-14-dev llvm-14 clang-format-14 libcmocka-dev libsnappy-dev python3 python3-pytest
python3-requests python3-yaml python3-prometheus-client nginx-light openssl prometheus prometheus-node-exporter prometheus-alertmanager prometheus-pushgateway etcd-server victoria-metrics docker.io iptables
busybox-static chromium zstd procps pmccabe libre2-dev g++"

say() {
    printf '\n==> %s\n' "$1"
}

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# Installs the named packages that are missing; servers among them are not started.
need_packages() {
    missing=""
    if ! command -v dpkg-query >/dev/null || ! grep -q 'VERSION_ID="12"' /etc/os-release 2>/dev/null; then
        echo "This is not Debian 12, so nothing was installed. Needed are (Debian's names):" >&2
        echo "  $*" >&2
        [ -n "${BRASA_SKIP_PACKAGES:-}" ] && return 0
        echo "Install their like and set BRASA_SKIP_PACKAGES=1 to go on without this check." >&2
        exit 1
    fi
    for package in "$@"; do
        is_installed "$package" || missing="$missing $package"
    done
    [ -z "$missing" ] && return 0
    root=""
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || {
            echo "These packages are missing, and neither root nor sudo is at hand:$missing" >&2
            exit 1
        }
        root=sudo
    fi
    say "installing:$missing"
    # A package's own service must not take a port that we use.
    guard=""
    if [ ! -e /usr/sbin/policy-rc.d ]; then
        printf '#!/bin/sh\nexit 101\n' | $root tee /usr/sbin/policy-rc.d >/dev/null
        $root chmod +x /usr/sbin/policy-rc.d
        guard=/usr/sbin/policy-rc.d
    fi
    status=0
    $root apt-get update -qq || true
    # shellcheck disable=SC2086
    $root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null || status=$?
    [ -z "$guard" ] || $root rm -f "$guard"
    [ "$status" = 0 ] || { echo "apt-get could not install:$missing" >&2; exit 1; }
}

# The UI is bundled by esbuild, which needs Node 18 or newer and npm.
need_node() {
    if command -v node >/dev/null && command -v npm >/dev/null &&
        [ "$(node -p 'process.versions.node.split(".")[0]')" -ge 18 ]; then
        return 0
    fi
    need_packages nodejs npm
}
