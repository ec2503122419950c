# install: the tools, and for others' find_package(warren) warren::layout, warren::ipc, warren::pool.

include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(_warren_config_dir "${CMAKE_INSTALL_LIBDIR}/cmake/warren")
install(
  TARGETS warren_layout warren_ipc warren_pool
  EXPORT warren
  FILE_SET HEADERS)
if(WARREN_BUILD_TOOLS)
  install(TARGETS warren-count ipc-inspect)
endif()
install(EXPORT warren NAMESPACE warren:: FILE warren-targets.cmake DESTINATION "${_warren_config_dir}")
configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/warren-config.cmake.in"
                              "${PROJECT_BINARY_DIR}/warren-config.cmake" INSTALL_DESTINATION "${_warren_config_dir}")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/warren-config-version.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/warren-config.cmake" "${PROJECT_BINARY_DIR}/warren-config-version.cmake"
        DESTINATION "${_warren_config_dir}")
