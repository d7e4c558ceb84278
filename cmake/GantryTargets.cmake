# The flags of our own code, in one place. Generated code gets none of them.
add_library(gantry_flags INTERFACE)
target_compile_options(gantry_flags INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Wnull-dereference
  -Wimplicit-fallthrough -Wformat=2 -Werror
  $<$<CXX_COMPILER_ID:Clang>:-Wthread-safety>
  # g++ 12 reports null dereferences and uninitialized values inside inlined library code.
  $<$<CXX_COMPILER_ID:GNU>:-Wno-null-dereference -Wno-maybe-uninitialized>
  # With optimization it also takes std::string's own copying for an overlap.
  $<$<AND:$<CXX_COMPILER_ID:GNU>,$<CONFIG:RelWithDebInfo>>:-Wno-restrict>
  # Where files are compiled together, it warns of a name that another file took from a namespace,
  # and takes a type of one file's anonymous namespace for one that others see.
  $<$<AND:$<CXX_COMPILER_ID:GNU>,$<BOOL:${CMAKE_UNITY_BUILD}>>:-Wno-shadow$<SEMICOLON>-Wno-subobject-linkage>)
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

# gantry_test_program(NAME SOURCES file... [DEPS target...]): a GoogleTest program. Not
# optimized, because that would take longer than the tests then run shorter.
function(gantry_test_program name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  gantry_executable(${name} SOURCES ${ARG_SOURCES} DEPS ${ARG_DEPS} GTest::gmock_main)
  target_compile_options(${name} PRIVATE -O0)
endfunction()

# gantry_test(NAME SOURCES file... [DEPS target...]): a GoogleTest program that is a ctest entry and
# needs nothing but itself. Where GANTRY_BELOW_SERVICE is set it also belongs to what runs under
# ThreadSanitizer.
function(gantry_test name)
  gantry_test_program(${name} ${ARGN})
  add_test(NAME ${name} COMMAND ${name})
  set_tests_properties(${name} PROPERTIES TIMEOUT 300 LABELS unit)
  add_dependencies(gantry_unit_tests ${name})
  if(GANTRY_BELOW_SERVICE)
    set_property(TEST ${name} APPEND PROPERTY LABELS below_service)
    add_dependencies(gantry_tests_below_service ${name})
  endif()
endfunction()
