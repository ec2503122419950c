// ipc-inspect: shows what lies in shared memory, from outside and read-only.
#include <CLI/CLI.hpp>

#include "ls.h"

int main(int argc, char** argv) {
  using namespace warren::tools;
  CLI::App app("Shows the shared memory of Warren's programs, also after they died. It changes nothing.",
               "ipc-inspect");
  app.require_subcommand(1);
  app.footer("Exit codes: 0 fine; 1 something is corrupt; 2 usage; 3 not permitted to look.");
  LsOptions ls;
  add_ls(app, ls);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? kFine : kUsage;
  }
  return run_ls(ls);
}
