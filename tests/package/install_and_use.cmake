# cmake -DBUILD_DIR=... -DWORK_DIR=... -DGENERATOR=... -DCOMPILER=... -DFLAGS=... -P install_and_use.cmake
# Installs a build of Warren to a fresh prefix, then configures, builds and runs a consumer that knows the prefix only,
# by find_package() and by pkg-config, and the tools that lie there.
file(REMOVE_RECURSE "${WORK_DIR}")
foreach(step IN ITEMS install configure build run inspect count)
  set(install ${CMAKE_COMMAND} --install ${BUILD_DIR} --prefix ${WORK_DIR}/prefix)
  set(configure
      ${CMAKE_COMMAND} -S ${CMAKE_CURRENT_LIST_DIR} -B ${WORK_DIR}/build -G ${GENERATOR} -DCMAKE_BUILD_TYPE=Debug
      -DCMAKE_PREFIX_PATH=${WORK_DIR}/prefix -DCMAKE_CXX_COMPILER=${COMPILER} -DCMAKE_CXX_FLAGS=${FLAGS})
  set(build ${CMAKE_COMMAND} --build ${WORK_DIR}/build)
  set(run ${WORK_DIR}/build/consumer)
  set(inspect ${WORK_DIR}/prefix/bin/ipc-inspect ls --help)
  set(count ${WORK_DIR}/prefix/bin/warren-count ${WORK_DIR}/prefix --workers 1)
  execute_process(COMMAND ${${step}} RESULT_VARIABLE result)
  if(NOT result EQUAL 0)
    message(FATAL_ERROR "${step} failed: ${result}")
  endif()
endforeach()

file(GLOB_RECURSE pc "${WORK_DIR}/prefix/*/warren.pc")
cmake_path(GET pc PARENT_PATH pc_dir)
set(ENV{PKG_CONFIG_PATH} "${pc_dir}")
execute_process(COMMAND pkg-config --cflags --libs "warren >= 0.1" OUTPUT_VARIABLE flags COMMAND_ERROR_IS_FATAL ANY)
separate_arguments(flags UNIX_COMMAND "${FLAGS} ${flags}")
set(consumer "${WORK_DIR}/consumer")
execute_process(COMMAND ${COMPILER} -std=c++20 "${CMAKE_CURRENT_LIST_DIR}/consumer.cc" ${flags} -o "${consumer}"
                        COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND "${consumer}" COMMAND_ERROR_IS_FATAL ANY)
