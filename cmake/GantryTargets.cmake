# The flags of our own code, in one place. Generated code gets none of them.
add_library(gantry_flags INTERFACE)
target_compile_options(gantry_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wnull-dereference
  -Wimplicit-fallthrough -Wformat=2 -Werror
  $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety>
  # g++ 12 reports null dereferences and uninitialized values inside inlined library code.
  $<$<CXX_COMPILER_ID:GNU>:-Wno-null-dereference -Wno-maybe-uninitialized>
  # With optimization it also takes std::string's own copying for an overlap.
  $<$<AND:$<CXX_COMPILER_ID:GNU>,$<CONFIG:RelWithDebInfo>>:-Wno-restrict>)
target_include_directories(gantry_flags INTERFACE "${PROJECT_SOURCE_DIR}")

# gantry_library(NAME SOURCES file... [DEPS target...])
function(gantry_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_library(${name} STATIC ${ARG_SOURCES})
  # An installed library knows neither our flags nor the source tree.
  target_link_libraries(${name} PUBLIC ${ARG_DEPS} PRIVATE $<BUILD_INTERFACE:gantry_flags>)
  target_include_directories(${name} PUBLIC "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}>")
endfunction()

# gantry_executable(NAME SOURCES file... [DEPS target...])
function(gantry_executable name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} gantry_flags)
endfunction()

# gantry_test(NAME SOURCES file... [DEPS target...]): a GoogleTest program, one ctest entry. Where
# GANTRY_BELOW_SERVICE is set it also belongs to what runs under ThreadSanitizer.
function(gantry_test name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} gantry_flags GTest::gmock_main)
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT 300)
  if(GANTRY_BELOW_SERVICE)
    set_tests_properties(${name} PROPERTIES LABELS below_service)
    add_dependencies(gantry_tests_below_service ${name})
  endif()
endfunction()
