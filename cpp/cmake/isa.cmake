# Kernels are compiled once an instruction set; only these files get special flags.

# add_isa(target name flags...): adds kernels/isa/<name>.cpp with `flags` to `target`. No
# link-time optimization there: it could move code compiled for this instruction set to where
# any CPU runs it.
function(add_isa target name)
  add_library(${target}_${name} OBJECT kernels/isa/${name}.cpp)
  target_include_directories(${target}_${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
  # Kernels throw nothing; without this they would still carry unwinding symbols.
  target_compile_options(${target}_${name} PRIVATE ${CN_WARNINGS} ${CN_SANITIZE} -fno-exceptions
                                                   ${ARGN})
  if(CN_SANITIZERS MATCHES "address" AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # In functions of thousands of vectors GCC 12 takes minutes to prepare the watch over scopes.
    target_compile_options(${target}_${name} PRIVATE -fno-sanitize-address-use-after-scope)
  endif()
  if(CN_SANITIZERS MATCHES "undefined")
    # Checks of every one of thousands of loads: minutes to compile, and the address sanitizer's work.
    target_compile_options(${target}_${name}
                           PRIVATE -fno-sanitize=pointer-overflow,null,alignment)
  endif()
  set_target_properties(${target}_${name} PROPERTIES INTERPROCEDURAL_OPTIMIZATION OFF)
  target_sources(${target} PRIVATE $<TARGET_OBJECTS:${target}_${name}>)
endfunction()
