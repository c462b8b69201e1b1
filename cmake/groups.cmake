# SPDX-License-Identifier: BSD-2-Clause
#
# The building blocks of every folder's CMakeLists.txt: warnings and sanitizers in one place, a
# library from a folder's sources, a program from its main.cc, and a test program from a folder of
# *_test.cc. All of them accept a folder that has no sources (yet).

# Warnings, sanitizers and includes of this project's own targets.
add_library(rvmfs_flags INTERFACE)
# GCC 12 takes the inside of an empty std::optional for "maybe uninitialized"; clang and the
# sanitizers look for real cases.
target_compile_options(rvmfs_flags INTERFACE
  -Wall -Wextra -Wnon-virtual-dtor -Woverloaded-virtual -fno-strict-aliasing
  $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized>
  $<$<BOOL:${RVMFS_WERROR}>:-Werror>)
target_compile_definitions(rvmfs_flags INTERFACE RVMFS_VERSION="${PROJECT_VERSION}")
if(RVMFS_SANITIZE)
  # Not linked through rvmfs_flags alone: every target, also an installed one, must agree.
  add_compile_options(-fsanitize=${RVMFS_SANITIZE} -fno-omit-frame-pointer
                      -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${RVMFS_SANITIZE})
endif()

# Counting what the tests of librvm run (scripts/coverage.sh). Counters are kept in a file that is
# mapped (%c in LLVM_PROFILE_FILE), so that a process that is killed or calls _exit() counts too;
# they are atomic, since sums of counters that race can become zero.
add_library(rvmfs_coverage INTERFACE)
if(RVMFS_COVERAGE)
  target_compile_options(rvmfs_coverage INTERFACE
    -fprofile-instr-generate -fcoverage-mapping -fprofile-update=atomic
    "SHELL:-mllvm -runtime-counter-relocation")
  add_link_options(-fprofile-instr-generate)
endif()

# rvmfs_library(<target> LINK <public libraries...>)
# A static library of the *.cc of the current folder, main.cc excluded. Its users include its
# headers from the repository root ("fs/volume.h"). Empty folder: an INTERFACE library.
function(rvmfs_library target)
  cmake_parse_arguments(arg "" "" "LINK;PRIVATE_LINK" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.cc")
  list(FILTER sources EXCLUDE REGEX "/main\\.cc$")
  if(sources)
    add_library(${target} STATIC ${sources})
    target_include_directories(${target} PUBLIC "${PROJECT_SOURCE_DIR}")
    target_link_libraries(${target} PUBLIC ${arg_LINK} PRIVATE ${arg_PRIVATE_LINK} rvmfs_flags)
  else()
    add_library(${target} INTERFACE)
    target_include_directories(${target} INTERFACE "${PROJECT_SOURCE_DIR}")
    target_link_libraries(${target} INTERFACE ${arg_LINK})
  endif()
endfunction()

# rvmfs_program(<target> LINK <libraries...> DESTINATION <install folder>)
# The program made of the current folder's main.cc; no target if there is none.
function(rvmfs_program target)
  cmake_parse_arguments(arg "" "DESTINATION" "LINK" ${ARGN})
  file(GLOB main CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/main.cc")
  if(main)
    add_executable(${target} ${main})
    target_link_libraries(${target} PRIVATE ${arg_LINK} rvmfs_flags)
    set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/bin")
    install(TARGETS ${target} RUNTIME DESTINATION "${arg_DESTINATION}" COMPONENT programs)
  endif()
endfunction()

# rvmfs_program_names(<target> <where it is installed> NAMES <names...>)
# More names for a program, as symbolic links: beside it in the build folder, and in
# CMAKE_INSTALL_SBINDIR, where mount(8) and its like look for their helpers.
function(rvmfs_program_names target destination)
  cmake_parse_arguments(arg "" "" "NAMES" ${ARGN})
  if(NOT TARGET ${target})
    return()
  endif()
  set(links "${CMAKE_CURRENT_BINARY_DIR}/links")
  file(MAKE_DIRECTORY "${links}")
  file(RELATIVE_PATH from_there "/root/${CMAKE_INSTALL_SBINDIR}" "/root/${destination}/${target}")
  foreach(name IN LISTS arg_NAMES)
    add_custom_command(TARGET ${target} POST_BUILD
      COMMAND ${CMAKE_COMMAND} -E create_symlink ${target} "${PROJECT_BINARY_DIR}/bin/${name}")
    file(CREATE_LINK "${from_there}" "${links}/${name}" SYMBOLIC)
    install(FILES "${links}/${name}" DESTINATION "${CMAKE_INSTALL_SBINDIR}" COMPONENT programs)
  endforeach()
endfunction()

# All test programs that need no FUSE mount: what sanitizer builds build.
add_custom_target(unmounted_tests)

# rvmfs_tests(<target> FOLDERS <folders under tests/...> LABEL <label> LINK <libraries...>
#             TIMEOUT <seconds> [WHOLE])
# A GoogleTest program of all *_test.cc (and their helpers) of these folders; each case is a ctest
# test "label/Suite.case", or with WHOLE the program is one test (where cases share what is costly).
function(rvmfs_tests target)
  cmake_parse_arguments(arg "WHOLE" "LABEL;TIMEOUT" "FOLDERS;LINK" ${ARGN})
  if(NOT arg_TIMEOUT)
    set(arg_TIMEOUT 300)
  endif()
  set(sources)
  foreach(folder IN LISTS arg_FOLDERS)
    file(GLOB found CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/${folder}/*.cc")
    list(APPEND sources ${found})
  endforeach()
  if(NOT sources)
    return()
  endif()
  add_executable(${target} ${sources})
  target_link_libraries(${target} PRIVATE test_support ${arg_LINK} GTest::gmock GTest::gtest
                        GTest::gtest_main rvmfs_flags)
  set_target_properties(${target} PROPERTIES RUNTIME_OUTPUT_DIRECTORY "${PROJECT_BINARY_DIR}/tests")
  if(NOT arg_LABEL STREQUAL "mount")
    add_dependencies(unmounted_tests ${target})
  endif()
  if(arg_WHOLE)
    add_test(NAME "${arg_LABEL}/${target}" COMMAND ${target} --gtest_brief=1)
    set_tests_properties("${arg_LABEL}/${target}" PROPERTIES LABELS "${arg_LABEL}"
                         TIMEOUT ${arg_TIMEOUT})
    return()
  endif()
  gtest_discover_tests(${target} TEST_PREFIX "${arg_LABEL}/" NO_PRETTY_VALUES
                       DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 60
                       PROPERTIES LABELS "${arg_LABEL}" TIMEOUT ${arg_TIMEOUT})
endfunction()
