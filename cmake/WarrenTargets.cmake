# How Warren's own targets are built: warnings, sanitizers, and the functions that make a library or a program.

set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_VERIFY_INTERFACE_HEADER_SETS ON) # target all_verify_interface_header_sets: each public header alone
if(PROJECT_IS_TOP_LEVEL)
  set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
endif()

# Options of this directory and below, so they meet our own targets only; dependencies are imported, hence SYSTEM.
add_compile_options(
  -Werror
  -Wall
  -Wextra
  -Wpedantic
  -Wshadow
  -Wconversion
  -Wsign-conversion
  -Wdouble-promotion
  -Wformat=2
  -Wnon-virtual-dtor
  -Wold-style-cast
  -Wcast-align
  -Wcast-qual
  -Woverloaded-virtual
  -Wextra-semi
  -Wvla)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  add_compile_options(-Wduplicated-cond -Wduplicated-branches -Wlogical-op)
  add_compile_options(-Wno-restrict) # g++ 12 sees overlaps in std::string where there are none: gcc bug 105651
  if(WARREN_SANITIZE)
    add_compile_options(-Wno-maybe-uninitialized -Wno-stringop-overflow) # instrumentation confuses these two
  endif()
endif()
add_compile_definitions($<$<CONFIG:Debug>:_GLIBCXX_ASSERTIONS>)

# BIND_NOW: the dynamic linker never runs inside a hot call, nor inside a step that a test kills.
add_link_options(LINKER:-z,relro,-z,now)

if(WARREN_SANITIZE)
  list(JOIN WARREN_SANITIZE "," _warren_sanitizers)
  add_compile_options(-fsanitize=${_warren_sanitizers} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  # A third of the time that compiling takes, for what faults by itself (null) or is checked elsewhere.
  add_compile_options(-fno-sanitize=null,object-size,vptr)
  add_link_options(-fsanitize=${_warren_sanitizers})
endif()
if(WARREN_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link) # coverage that guides the fuzzer
endif()

function(_warren_public_headers target scope)
  list(TRANSFORM ARGN PREPEND "${PROJECT_SOURCE_DIR}/include/warren/" OUTPUT_VARIABLE patterns)
  file(GLOB_RECURSE headers CONFIGURE_DEPENDS ${patterns})
  target_sources(${target} ${scope} FILE_SET HEADERS BASE_DIRS "${PROJECT_SOURCE_DIR}/include" FILES ${headers})
endfunction()

# warren_header_library(<name> HEADERS <patterns below include/warren/>): warren_<name>, alias warren::<name>.
function(warren_header_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "HEADERS")
  add_library(warren_${name} INTERFACE)
  add_library(warren::${name} ALIAS warren_${name})
  set_target_properties(warren_${name} PROPERTIES EXPORT_NAME ${name})
  target_compile_features(warren_${name} INTERFACE cxx_std_20)
  _warren_public_headers(warren_${name} INTERFACE ${arg_HEADERS})
endfunction()

# warren_library(<name> SOURCES ... HEADERS ... [LAYERS <own libraries below>] [PUBLIC ...] [PRIVATE ...])
#
# Makes the static library warren_<name>, alias warren::<name>. With tests on also warren_<name>_crash: the same
# sources and flags with WARREN_CRASH_POINTS=1, on the crash variants of LAYERS. A program links one or the other.
function(warren_library name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;HEADERS;LAYERS;PUBLIC;PRIVATE")
  set(variants "")
  if(WARREN_BUILD_TESTS)
    set(variants "_crash")
  endif()
  foreach(variant IN ITEMS "" LISTS variants)
    set(target warren_${name}${variant})
    add_library(${target} STATIC ${arg_SOURCES})
    target_compile_features(${target} PUBLIC cxx_std_20)
    list(TRANSFORM arg_LAYERS REPLACE "(.+)" "warren_\\1${variant}" OUTPUT_VARIABLE layers)
    target_link_libraries(
      ${target}
      PUBLIC ${layers} ${arg_PUBLIC}
      PRIVATE ${arg_PRIVATE})
    target_include_directories(${target} PRIVATE "${PROJECT_SOURCE_DIR}") # "ipc/futex.h", "pool/worker.h"
    target_link_options(${target} INTERFACE LINKER:--build-id) # functions travel as {build id, offset}
    if(WARREN_QUICK AND (variant OR NOT CMAKE_BUILD_TYPE STREQUAL "Release")) # kills step through what is released
      set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE 16)
    endif()
  endforeach()
  add_library(warren::${name} ALIAS warren_${name})
  set_target_properties(warren_${name} PROPERTIES EXPORT_NAME ${name})
  _warren_public_headers(warren_${name} PUBLIC ${arg_HEADERS})
  if(variants)
    target_include_directories(warren_${name}_crash PUBLIC "${PROJECT_SOURCE_DIR}/include")
    target_compile_definitions(warren_${name}_crash PUBLIC WARREN_CRASH_POINTS=1)
  endif()
endfunction()

# warren_program(<name> SOURCES ... LIBS ...)
function(warren_program name)
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;LIBS")
  add_executable(${name} ${arg_SOURCES})
  target_link_libraries(${name} PRIVATE ${arg_LIBS})
endfunction()

# Target all_headers: every public header in one piece, for a compiler's opinion on all of them. That each compiles alone,
# too, is all_verify_interface_header_sets.
function(warren_all_headers)
  set(text "")
  file(GLOB_RECURSE headers CONFIGURE_DEPENDS RELATIVE "${PROJECT_SOURCE_DIR}/include" "${PROJECT_SOURCE_DIR}/include/*.h")
  foreach(header IN LISTS headers)
    string(APPEND text "#include <${header}>\n")
  endforeach()
  file(CONFIGURE OUTPUT "${PROJECT_BINARY_DIR}/all_headers.cc" CONTENT "${text}" @ONLY)
  add_library(all_headers OBJECT EXCLUDE_FROM_ALL "${PROJECT_BINARY_DIR}/all_headers.cc")
  target_link_libraries(all_headers PRIVATE warren_pool)
endfunction()
