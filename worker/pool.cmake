# The pool of interpreters and the cache of packages, as the worker's edges link them.
engenho_library(worker_pool
  SOURCES arena.c pool.c pool_answers.c pool_interpreter.c pool_limits.c pool_metrics.c pool_process.c
  LINKS common common_edge proto PkgConfig::libevent)
engenho_library(worker_packages
  SOURCES packages.c packages_evict.c unpack.c
  LINKS common PkgConfig::libarchive PkgConfig::openssl)
