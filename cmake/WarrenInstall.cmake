# install: the tools, and for others' find_package(warren) warren::layout, warren::ipc, warren::pool; and warren.pc.

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

set(_warren_pkgconfig_dir "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
file(RELATIVE_PATH _warren_prefix_from_pkgconfig "/prefix/${_warren_pkgconfig_dir}" "/prefix")
configure_file("${PROJECT_SOURCE_DIR}/cmake/warren.pc.in" "${PROJECT_BINARY_DIR}/warren.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/warren.pc" DESTINATION "${_warren_pkgconfig_dir}")
