# Debian's cross compiler for 64-bit ARM, with its programs run by qemu. Static, so that no loader has to be found.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_C_COMPILER aarch64-linux-gnu-gcc-12)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++-12)
# glibc warns of getaddrinfo (in GoogleTest) in static programs; nobody calls it.
set(CMAKE_EXE_LINKER_FLAGS_INIT "-static -Wl,--no-warnings")
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64-static)
