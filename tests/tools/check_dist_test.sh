#!/bin/sh
# tools/check_dist refuses a program that is too large, one that needs other libraries, and one that answers wrongly or
# needs too much memory: programs made for that stand in for tern.
#
#   check_dist_test.sh CHECK_DIST
set -eu
check=$1
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir "$folder/bin"

# `ldd` says what LDD holds; the program answers with PEAK and TEXT.
cat >"$folder/bin/ldd" <<'END'
#!/bin/sh
echo "	linux-vdso.so.1 (0x0)"
for library in $LDD; do echo "	$library => /lib/$library (0x0)"; done
END
cat >"$folder/tern" <<'END'
#!/bin/sh
[ "$1" = info ] && exit "${MISSING:-0}"
text=${TEXT:-Paris}
[ -z "${LIMITED_TEXT:-}" ] || ! grep -q tern-dist /proc/self/cgroup || text=$LIMITED_TEXT
echo "{\"ids\":[1,2,${#text}],\"text\":\"$text\",\"timings\":{\"peak_rss_bytes\":${PEAK:-1000}}}"
END
chmod +x "$folder/bin/ldd" "$folder/tern"

run() { env PATH="$folder/bin:$PATH" LDD="${LDD-libc.so.6 libm.so.6}" "$@" "$check" "$folder/tern" >"$folder/out" 2>&1; }
accepts() { run "$@" || { echo "refused: $*"; cat "$folder/out"; exit 1; }; }
refuses() {  # WORD SETTINGS...
  word=$1
  shift
  ! run "$@" || { echo "accepted: $*"; exit 1; }
  grep -q -- "$word" "$folder/out" || { echo "refused for another reason: $*"; cat "$folder/out"; exit 1; }
}

accepts A=1
accepts MISSING=1 TERN_REQUIRE_MODEL=0
refuses 'not in the cache' MISSING=1 TERN_REQUIRE_MODEL=1
refuses 'more than glibc: libstdc++.so.6' LDD='libc.so.6 libstdc++.so.6'
refuses 'more than 256000000' PEAK=256000001
refuses 'do not name Paris' TEXT=Berlin
accepts A=1
if grep -q 'in a cgroup' "$folder/out"; then refuses 'is another one' LIMITED_TEXT=London; fi
truncate -s 30000001 "$folder/large"
cat "$folder/tern" >"$folder/large.head"
dd if="$folder/large.head" of="$folder/large" conv=notrunc status=none
chmod +x "$folder/large"
mv "$folder/large" "$folder/tern"
refuses 'more than 30000000' A=1
echo "check_dist_test: every fault was noticed"
