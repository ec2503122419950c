# cmake -DCOMPILER=... -DSOURCE=... -DINCLUDE=... -DDEFINES=a;b -DMESSAGE=<regex> -P compile_test.cmake
# The source must not compile, and an error must say MESSAGE. Without MESSAGE it must compile: the control.
list(TRANSFORM DEFINES PREPEND "-D")
execute_process(
  COMMAND ${COMPILER} -std=c++20 -fsyntax-only -isystem ${INCLUDE} ${DEFINES} ${SOURCE}
  RESULT_VARIABLE result
  ERROR_VARIABLE output)

set(verdict "")
if(NOT DEFINED MESSAGE)
  if(NOT result EQUAL 0)
    set(verdict "must compile")
  endif()
elseif(result EQUAL 0)
  set(verdict "compiles, but must not")
elseif(NOT output MATCHES "error: [^\n]*${MESSAGE}")
  set(verdict "no error says \"${MESSAGE}\"")
endif()
if(verdict)
  message(NOTICE "${output}")
  message(FATAL_ERROR "${SOURCE} ${DEFINES}: ${verdict}")
endif()
