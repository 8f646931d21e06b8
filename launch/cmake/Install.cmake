# cmake --install: program, configurations, scripts, documentation. LibTorch, CUDA and the other libraries stay where they are; the installed
# program finds them by the RPATH below. launch/bundle.sh makes a folder that needs none of them outside.
include(GNUInstallDirs)

set_target_properties(diffprob PROPERTIES INSTALL_RPATH_USE_LINK_PATH ON)
install(TARGETS diffprob RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})

set(scripts ${CMAKE_INSTALL_DATADIR}/diffprob/launch)
install(DIRECTORY launch/configs DESTINATION ${scripts} FILES_MATCHING PATTERN "*.yaml")
install(DIRECTORY launch/slurm DESTINATION ${scripts} USE_SOURCE_PERMISSIONS OPTIONAL)
install(FILES launch/environment.sh DESTINATION ${scripts} OPTIONAL)
install(PROGRAMS launch/supervise.sh DESTINATION ${scripts} OPTIONAL)

# What the program prints itself: completion of bash and zsh, the manual page.
foreach(kind_and_file "bash bash-completion/completions/diffprob" "zsh zsh/site-functions/_diffprob" "man man/man1/diffprob.1")
  string(REPLACE " " ";" pair ${kind_and_file})
  list(GET pair 0 kind)
  list(GET pair 1 file)
  install(CODE "
    set(file \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_DATADIR}/${file}\")
    cmake_path(GET file PARENT_PATH folder)
    file(MAKE_DIRECTORY \"\${folder}\")
    execute_process(COMMAND \"$<TARGET_FILE:diffprob>\" completion ${kind} OUTPUT_FILE \"\${file}\" COMMAND_ERROR_IS_FATAL ANY)")
endforeach()

# With the folders of the source, so that links from one page to another hold; the tests have pages and a list that others link to.
install(FILES README.md LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})
install(FILES launch/docs/report.png launch/docs/architecture.svg DESTINATION ${CMAKE_INSTALL_DOCDIR}/launch/docs)
install(FILES tests/README.md DESTINATION ${CMAKE_INSTALL_DOCDIR}/tests)
install(FILES tests/golden/README.md DESTINATION ${CMAKE_INSTALL_DOCDIR}/tests/golden)
install(FILES tests/rooms/rooms.txt DESTINATION ${CMAKE_INSTALL_DOCDIR}/tests/rooms)
foreach(folder data prune launch model eval dist)
  install(DIRECTORY ${folder} DESTINATION ${CMAKE_INSTALL_DOCDIR} FILES_MATCHING PATTERN "*.md" PATTERN "configs" EXCLUDE
          PATTERN "cmake" EXCLUDE PATTERN "bundle" EXCLUDE PATTERN "containers" EXCLUDE PATTERN "slurm" EXCLUDE)
endforeach()
