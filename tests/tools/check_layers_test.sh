#!/bin/sh
# tools/check_layers finds what it is there to find: each made-up violation fails with the right words.
#   check_layers_test.sh PATH/TO/check_layers
set -eu
tool=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
mkdir -p "$folder/src/core" "$folder/src/text" "$folder/src/model" "$folder/src/engine"
printf '# lowest first\ncore\ntext model\nengine # top\n' > "$folder/src/layers.txt"
echo '#include "core/a.h"' > "$folder/src/core/a.cpp"

fine() {
  "$tool" "$folder" > "$folder/out" || { echo "FAILED: refused what is fine: $1"; cat "$folder/out"; exit 1; }
}
caught() {  # file, its content, the words of the complaint
  printf '%s\n' "$2" > "$folder/src/$1"
  if "$tool" "$folder" > "$folder/out"; then echo "FAILED: accepted $1: $2"; exit 1; fi
  grep -qF "$3" "$folder/out" || { echo "FAILED: no word of '$3' about $1: $2"; cat "$folder/out"; exit 1; }
  rm "$folder/src/$1"
}

fine 'own folder'
printf '#include <vector>\n#include "core/a.h"\n  #  include "text/b.h"\n// #include "cli/x.h"\n' > "$folder/src/engine/e.cpp"
fine 'downwards'
caught core/up.h '#include "engine/e.h"' 'src/core/up.h:1: core must not include engine'
caught text/side.cpp '#include "model/m.h"' 'text must not include model'
caught model/side.cu ' # include "text/t.h"' 'model must not include text'
caught engine/bare.h '#include "e.h"' 'does not name its folder'
caught engine/alien.h '#include "vendor/e.h"' 'vendor is not in src/layers.txt'
mkdir "$folder/src/extra"
caught extra/x.h '#include "core/a.h"' 'folder extra is not in src/layers.txt'
rmdir "$folder/src/extra"
caught CMakeLists.txt 'tern_layer(core DEPENDS engine PRIVATE x)' 'core must not depend on engine'
printf 'tern_layer(core PRIVATE fmt)\ntern_layer(engine DEPENDS text model core PRIVATE fmt)\n' > "$folder/src/CMakeLists.txt"
fine 'dependencies downwards'
echo passed
