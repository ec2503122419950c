# cmake -DFROM=<file> -DTO=<file> -DTAG=<Q4> [-DOLD=<text> -DNEW=<text>] -P weaken.cmake
# Copies a source with the order tagged TAG made relaxed, or with OLD made NEW on the line that has the tag. Where there is
# nothing to weaken it fails: the control would prove nothing.
file(READ "${FROM}" text)
string(REGEX MATCH "[^\n]*\\[${TAG}\\]" line "${text}")
if(line STREQUAL "")
  message(FATAL_ERROR "${FROM} has no [${TAG}]")
endif()
if(DEFINED OLD)
  string(REPLACE "${OLD}" "${NEW}" weak "${line}")
else()
  string(REGEX REPLACE "memory_order_(release|acquire|acq_rel|seq_cst)" "memory_order_relaxed" weak "${line}")
endif()
if(weak STREQUAL line)
  message(FATAL_ERROR "nothing weakened in: ${line}")
endif()
string(REPLACE "${line}" "${weak}" text "${text}")
file(WRITE "${TO}" "${text}")
