# The kernels under qemu on the processors that dispatch tells apart: with the 8-bit matrix multiply, with the dot product
# only, with neither. On each, the best ISA must be the one expected, and all that are supported must pass.
function(quern_test_on cpu best)
  add_test(NAME kernels.best_on_${cpu} COMMAND ${emulator} -cpu ${cpu} $<TARGET_FILE:kernels_test>
           --gtest_list_tests --gtest_filter=*IsTheOneThatRuns*)
  set_tests_properties(kernels.best_on_${cpu} PROPERTIES LABELS kernels PASS_REGULAR_EXPRESSION
                       "Kernels/Isa\\.\n  IsTheOneThatRuns/${best} ")
  add_test(NAME kernels.all_on_${cpu} COMMAND ${emulator} -cpu ${cpu} $<TARGET_FILE:kernels_test> --gtest_brief=1)
  set_tests_properties(kernels.all_on_${cpu} PROPERTIES LABELS kernels TIMEOUT 600)
endfunction()

list(GET CMAKE_CROSSCOMPILING_EMULATOR 0 emulator)
quern_test_on(max neon_i8mm)
quern_test_on(neoverse-n1 neon)
quern_test_on(cortex-a72 ref)

# Not a test: its instructions are counted by benchmarks/arm_instructions.py.
add_subdirectory(tests/instructions)
