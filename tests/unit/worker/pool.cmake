# The pool with real interpreters. What needs no pool.c is in CMakeLists.txt.
set(stems test_pool)
# The thread sanitizer keeps signals back until the next system call: a script that has to be interrupted never is.
if(NOT ENGENHO_SANITIZE MATCHES "thread")
  list(APPEND stems test_pool_misbehaving)
endif()
foreach(stem IN LISTS stems)
  engenho_test(worker_${stem} SOURCES ${CMAKE_CURRENT_LIST_DIR}/${stem}.c ${CMAKE_CURRENT_LIST_DIR}/pool_fixture.c LINKS worker_pool)
  target_compile_definitions(worker_${stem} PRIVATE
    TEST_INTERPRETER="$<TARGET_FILE:engenho-interpreter>"
    TEST_PYTHON_LIBRARY="${CMAKE_SOURCE_DIR}/worker/interpreter/lib")
  add_dependencies(worker_${stem} engenho-interpreter)
  # Time limits are tested: nothing else runs beside it.
  # A segmentation fault of a script is one with the sanitizers too; what Python never frees is not ours.
  set_tests_properties(worker_${stem} PROPERTIES
    ENVIRONMENT "ASAN_OPTIONS=handle_segv=0:handle_abort=0:allocator_may_return_null=1" TIMEOUT 300 RUN_SERIAL TRUE)
endforeach()
engenho_test(worker_test_packages SOURCES ${CMAKE_CURRENT_LIST_DIR}/test_packages.c LINKS worker_packages)
