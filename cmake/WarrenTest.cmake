# warren_test and its kin. Every test has a label, and a TIMEOUT as its watchdog.
#
# Labels: unit layout compile model threads stress crash ptrace tools examples package house soak slow; what they hold
# is in CONTRIBUTING.md.

include(GoogleTest)

# Sanitized code is that much slower.
set(WARREN_TIMEOUT_FACTOR 1)
if(WARREN_SANITIZE)
  set(WARREN_TIMEOUT_FACTOR 5)
endif()

function(_warren_test_properties out labels timeout)
  if(NOT labels)
    set(labels unit)
  endif()
  if(NOT timeout)
    set(timeout 60)
  endif()
  math(EXPR timeout "${timeout} * ${WARREN_TIMEOUT_FACTOR}")
  set(${out}_LABELS "${labels}" PARENT_SCOPE)
  set(${out}_TIMEOUT ${timeout} PARENT_SCOPE)
endfunction()

# `cmake --build build/dev --target tests-threads` builds what `ctest -L threads` runs.
function(_warren_build_by_label target)
  foreach(label IN LISTS ARGN)
    if(NOT TARGET tests-${label})
      add_custom_target(tests-${label})
    endif()
    add_dependencies(tests-${label} ${target})
  endforeach()
endfunction()

# _warren_quick(<target> [<option of the compiler>])
# Headers of others that nearly every test includes, parsed once for all targets with that option. None of ours: there are
# two variants of them, and weakened copies.
function(_warren_quick target)
  target_compile_options(${target} PRIVATE ${ARGN})
  if(NOT WARREN_QUICK)
    return()
  endif()
  string(MAKE_C_IDENTIFIER "warren_precompiled${ARGN}" group)
  if(NOT TARGET ${group})
    # A program, as the tests are: position independence must be the same.
    set(source "${PROJECT_BINARY_DIR}/${group}.cc")
    file(CONFIGURE OUTPUT "${source}" CONTENT "int main() {}\n")
    warren_program(${group} SOURCES "${source}" LIBS GTest::gmock absl::statusor)
    target_compile_features(${group} PRIVATE cxx_std_20)
    target_compile_options(${group} PRIVATE ${ARGN})
    target_precompile_headers(
      ${group}
      PRIVATE # one per line, sorted, the standard's last
      <absl/status/statusor.h>
      <absl/strings/str_cat.h>
      <gmock/gmock.h>
      <gtest/gtest.h>
      <algorithm>
      <array>
      <atomic>
      <chrono>
      <functional>
      <map>
      <memory>
      <mutex>
      <optional>
      <span>
      <string>
      <thread>
      <vector>)
  endif()
  target_precompile_headers(${target} REUSE_FROM ${group})
endfunction()

# warren_test(NAME <name> SOURCES <files> [LIBS <targets>] [LABELS <labels>] [TIMEOUT <seconds>]
#             [CRASH_POINTS] [WHOLE] [ALONE])
#
# A GoogleTest program; each TEST becomes a ctest test of its own, and TIMEOUT (60) is for each. LIBS defaults to
# warren::pool; gtest, gmock and their main are always there (an own main wins). Sanitized programs take longer to start
# than most tests to run, so they are one ctest test each.
#   CRASH_POINTS  link the libraries that have crash points: put warren_ipc_crash or warren_pool_crash in LIBS, or
#                 nothing for the latter
#   WHOLE         one ctest test for the whole program
#   ALONE         never beside another test: it pins cores or measures time
# With the label soak the program runs briefly in the ordinary suite, and as soak.<name> for WARREN_SOAK_SECONDS under
# tools/soak.sh.
function(warren_test)
  cmake_parse_arguments(PARSE_ARGV 0 arg "CRASH_POINTS;WHOLE;ALONE" "NAME;TIMEOUT" "SOURCES;LIBS;LABELS")
  if(NOT arg_LIBS)
    set(arg_LIBS warren_pool)
    if(arg_CRASH_POINTS)
      set(arg_LIBS warren_pool_crash)
    endif()
  endif()
  _warren_test_properties(test "${arg_LABELS}" "${arg_TIMEOUT}")
  warren_program(${arg_NAME} SOURCES ${arg_SOURCES} LIBS ${arg_LIBS} warren_test_support GTest::gmock GTest::gtest_main)
  # The optimiser takes most of the time that compiling takes. It gets it where programs are stepped, race or are killed
  # anywhere: there its work is under test. The libraries always have their own options.
  set(light "")
  if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT test_LABELS MATCHES "(^|;)(ptrace|soak|stress|threads)(;|$)")
    set(light -O1)
  endif()
  _warren_quick(${arg_NAME} ${light})
  _warren_build_by_label(${arg_NAME} ${test_LABELS})

  set(soak FALSE)
  if("soak" IN_LIST test_LABELS)
    set(soak TRUE)
    list(REMOVE_ITEM test_LABELS soak)
  endif()
  set(alone FALSE)
  if(arg_ALONE)
    set(alone TRUE)
  endif()
  if(arg_WHOLE OR WARREN_SANITIZE)
    if(NOT arg_WHOLE)
      math(EXPR test_TIMEOUT "${test_TIMEOUT} * 4")
    endif()
    add_test(NAME ${arg_NAME} COMMAND ${arg_NAME})
    set_tests_properties(${arg_NAME} PROPERTIES LABELS "${test_LABELS}" TIMEOUT ${test_TIMEOUT} RUN_SERIAL ${alone})
  else()
    gtest_discover_tests(
      ${arg_NAME}
      DISCOVERY_MODE PRE_TEST
      DISCOVERY_TIMEOUT 60
      PROPERTIES TIMEOUT ${test_TIMEOUT} RUN_SERIAL ${alone})
    # gtest_discover_tests flattens lists, so more than one label is set by a file that ctest reads after discovery.
    set(labels_file "${CMAKE_CURRENT_BINARY_DIR}/${arg_NAME}_labels.cmake")
    file(CONFIGURE OUTPUT "${labels_file}" @ONLY CONTENT [[
if(@arg_NAME@_TESTS)
  set_tests_properties(${@arg_NAME@_TESTS} PROPERTIES LABELS "@test_LABELS@")
endif()
]])
    set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES "${labels_file}")
  endif()
  if(soak)
    add_test(NAME soak.${arg_NAME} CONFIGURATIONS soak COMMAND ${arg_NAME})
    set_tests_properties(soak.${arg_NAME} PROPERTIES LABELS soak TIMEOUT 1000000 RUN_SERIAL TRUE)
  endif()
endfunction()

# warren_command_test(NAME <name> COMMAND <command> [LABELS <labels>] [TIMEOUT <seconds>] [ALONE] [PROPERTIES ...])
# A script or a program that tells by its exit code.
function(warren_command_test)
  cmake_parse_arguments(PARSE_ARGV 0 arg "ALONE" "NAME;TIMEOUT" "COMMAND;LABELS;PROPERTIES")
  _warren_test_properties(test "${arg_LABELS}" "${arg_TIMEOUT}")
  add_test(NAME ${arg_NAME} COMMAND ${arg_COMMAND})
  set_tests_properties(${arg_NAME} PROPERTIES LABELS "${test_LABELS}" TIMEOUT ${test_TIMEOUT} ${arg_PROPERTIES})
  if(arg_ALONE)
    set_tests_properties(${arg_NAME} PROPERTIES RUN_SERIAL TRUE)
  endif()
endfunction()

# warren_compile_test(NAME <name> SOURCE <file> [DEFINES <macros>] [MESSAGE <regular expression>])
# With MESSAGE a wrong program: it must not compile, and an error must say so. Without it must compile: the control.
function(warren_compile_test)
  cmake_parse_arguments(PARSE_ARGV 0 arg "" "NAME;SOURCE;MESSAGE" "DEFINES")
  cmake_path(ABSOLUTE_PATH arg_SOURCE)
  set(message "")
  if(DEFINED arg_MESSAGE)
    set(message "-DMESSAGE=${arg_MESSAGE}")
  endif()
  warren_command_test(
    NAME ${arg_NAME}
    LABELS compile
    COMMAND
      ${CMAKE_COMMAND} "-DCOMPILER=${CMAKE_CXX_COMPILER}" "-DSOURCE=${arg_SOURCE}" "-DDEFINES=${arg_DEFINES}"
      "-DINCLUDE=${PROJECT_SOURCE_DIR}/include" ${message} -P "${PROJECT_SOURCE_DIR}/cmake/compile_test.cmake")
endfunction()
