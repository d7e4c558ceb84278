# Installs the client library (cmake --install BUILD --component client): its public headers and
# those generated from the .proto files, the static libraries, and the CMake package gantry-client,
# which has the target gantry::client.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(GANTRY_CLIENT_PACKAGE_DIR "${CMAKE_INSTALL_LIBDIR}/cmake/gantry-client")

# The code is C++20; the headers ask less of who includes them.
target_compile_features(gantry_client PUBLIC cxx_std_17)
set_target_properties(gantry_client PROPERTIES EXPORT_NAME client)
set_target_properties(gantry_proto PROPERTIES EXPORT_NAME proto)

install(TARGETS gantry_client gantry_proto EXPORT gantry-client
  ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}" COMPONENT client
  INCLUDES DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}")
install(EXPORT gantry-client NAMESPACE gantry:: FILE gantry-clientTargets.cmake
  DESTINATION "${GANTRY_CLIENT_PACKAGE_DIR}" COMPONENT client)

# attempts.h is for the library alone.
install(FILES gantry/client/call.h gantry/client/client.h gantry/client/connection.h
              gantry/client/errors.h gantry/client/health_watch.h gantry/client/run_step.h
              gantry/client/timing.h
  DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/gantry/client" COMPONENT client)
install(DIRECTORY "${PROJECT_BINARY_DIR}/proto/generated/gantry"
  DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}" COMPONENT client
  FILES_MATCHING PATTERN "*.pb.h")

configure_package_config_file("${PROJECT_SOURCE_DIR}/cmake/gantry-clientConfig.cmake.in"
  "${CMAKE_CURRENT_BINARY_DIR}/gantry-clientConfig.cmake"
  INSTALL_DESTINATION "${GANTRY_CLIENT_PACKAGE_DIR}"
  NO_SET_AND_CHECK_MACRO NO_CHECK_REQUIRED_COMPONENTS_MACRO)
# Before 1.0 a minor version may break what uses it.
write_basic_package_version_file("${CMAKE_CURRENT_BINARY_DIR}/gantry-clientConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/gantry-clientConfig.cmake"
              "${CMAKE_CURRENT_BINARY_DIR}/gantry-clientConfigVersion.cmake"
  DESTINATION "${GANTRY_CLIENT_PACKAGE_DIR}" COMPONENT client)
