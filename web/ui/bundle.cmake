# The web UI: npm brings the locked packages, esbuild bundles, build.mjs writes web_assets.c.
find_program(NPM npm REQUIRED)
find_program(NODE node REQUIRED)
set(ui ${CMAKE_CURRENT_SOURCE_DIR}/ui)
set(ui_out ${CMAKE_CURRENT_BINARY_DIR}/ui)
file(GLOB ui_sources CONFIGURE_DEPENDS ${ui}/src/*.ts ${ui}/src/*.tsx ${ui}/src/*.css)

add_custom_command(
  OUTPUT ${ui}/node_modules/.package-lock.json
  COMMAND ${NPM} ci --no-audit --no-fund --ignore-scripts --loglevel=error
  DEPENDS ${ui}/package.json ${ui}/package-lock.json
  WORKING_DIRECTORY ${ui}
  COMMENT "Installing the UI's packages"
  VERBATIM)
add_custom_command(
  OUTPUT ${ui_out}/web_assets.c
  COMMAND ${NODE} build.mjs ${ui_out}
  DEPENDS ${ui_sources} ${ui}/build.mjs ${ui}/index.html ${ui}/favicon.svg ${ui}/node_modules/.package-lock.json
  WORKING_DIRECTORY ${ui}
  COMMENT "Bundling the UI"
  VERBATIM)
target_sources(web PRIVATE ${ui_out}/web_assets.c)
