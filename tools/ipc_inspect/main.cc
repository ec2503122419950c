// ipc-inspect: shows what lies in shared memory, from outside and read-only.
#include <CLI/CLI.hpp>
#include <iostream>
#include <string>
#include <string_view>

#include "common/printable.h"
#include "ls.h"

namespace {

// CLI11 says only that a subcommand is missing. Empty: the first word is none, or is known.
std::string unknown_subcommand(const CLI::App& app, int argc, char** argv) {
  const std::string_view word = argc > 1 ? argv[1] : "-";
  std::string known;
  for (const CLI::App* each : app.get_subcommands({})) {
    if (each->check_name(std::string(word))) return {};
    known += (known.empty() ? "" : ", ") + each->get_name();
  }
  if (word.starts_with('-')) return {};
  return "there is no subcommand '" + warren::tools::printable(std::string(word)) + "'; there is: " + known;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace warren::tools;
  CLI::App app("Shows the shared memory of Warren's programs, also after they died. It changes nothing.",
               "ipc-inspect");
  app.require_subcommand(1);
  app.footer("Exit codes: 0 fine; 1 something is corrupt; 2 usage; 3 not permitted to look.");
  LsOptions ls;
  add_ls(app, ls);
  if (const std::string unknown = unknown_subcommand(app, argc, argv); !unknown.empty()) {
    std::cerr << "ipc-inspect: " << unknown << '\n';
    return kUsage;
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? kFine : kUsage;
  }
  return run_ls(ls);
}
