# Warnings, sanitizers and hardening, once for every target (target build_flags).
add_library(build_flags INTERFACE)
target_include_directories(build_flags INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_definitions(build_flags INTERFACE _GNU_SOURCE BRASA_VERSION="${PROJECT_VERSION}")
target_compile_options(build_flags INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wno-sign-conversion -Wstrict-prototypes -Wmissing-prototypes
  -Wformat=2 -Wundef -Wvla -Wswitch-enum -fno-common -fno-math-errno -ffp-contract=off)
if(BRASA_WERROR)
  target_compile_options(build_flags INTERFACE -Werror)
endif()
if(CMAKE_C_COMPILER_ID STREQUAL "Clang")
  target_compile_options(build_flags INTERFACE -Wthread-safety)
endif()

if(BRASA_SANITIZE)
  target_compile_options(build_flags INTERFACE -fsanitize=${BRASA_SANITIZE} -fno-omit-frame-pointer -g)
  target_link_options(build_flags INTERFACE -fsanitize=${BRASA_SANITIZE})
  if(BRASA_SANITIZE MATCHES "undefined")
    target_compile_options(build_flags INTERFACE -fno-sanitize-recover=undefined)
  endif()
endif()
if(BRASA_FUZZ)
  # How deep the stack is depends on where it begins, by up to a frame's alignment: as a feature of an
  # input it would make runs with one seed differ from machine to machine.
  target_compile_options(build_flags INTERFACE -fsanitize=fuzzer-no-link -fno-sanitize-coverage=stack-depth)
endif()

if(CMAKE_BUILD_TYPE STREQUAL "Release")
  set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ON)
  set(CMAKE_POSITION_INDEPENDENT_CODE ON)
  set(CMAKE_C_FLAGS_RELEASE "-O2 -g -DNDEBUG")
  target_compile_options(build_flags INTERFACE
    -fstack-protector-strong -fstack-clash-protection -fcf-protection -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2)
  target_link_options(build_flags INTERFACE -pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--as-needed)
endif()
