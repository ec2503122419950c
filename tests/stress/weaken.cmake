# cmake -DFROM=<file> -DTO=<file> -DTAG=<Q4> [-DOLD=<text> -DNEW=<text>] -P weaken.cmake
# Copies a source with the order tagged TAG made relaxed, or with OLD made NEW: on the line that has the tag, or on one of
# the two above it where a statement runs over several. Where there is nothing to weaken it fails: the control would prove
# nothing.
file(READ "${FROM}" text)
set(lines "[^\n]*\\[${TAG}\\]")
foreach(more RANGE 2)
  string(REGEX MATCH "${lines}" found "${text}")
  if(DEFINED OLD)
    string(REPLACE "${OLD}" "${NEW}" weak "${found}")
  else()
    string(REGEX REPLACE "memory_order_(release|acquire|acq_rel|seq_cst)" "memory_order_relaxed" weak "${found}")
  endif()
  if(NOT weak STREQUAL found)
    string(REPLACE "${found}" "${weak}" text "${text}")
    file(WRITE "${TO}" "${text}")
    return()
  endif()
  string(PREPEND lines "[^\n]*\n")
endforeach()
message(FATAL_ERROR "${FROM}: nothing to weaken at [${TAG}]")
