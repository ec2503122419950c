// A first victim dies at every crash point of every operation of the substrate, a second one, its rescuer, at every
// point of the rescue, and a third process finds everything in order. One file per family; together they must have
// died at every point there is.
#pragma once
#include "crash/points_test.h"

namespace warren::test {

// Sweeps, expects that everybody else survived, and adds what was hit to the total of the program.
void sweep(const std::string& name, const std::function<std::unique_ptr<Trial>()>& make);

}  // namespace warren::test
