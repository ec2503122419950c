// main() of test programs whose pools may be spawned.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <warren/pool/start_method.h>

int main(int argc, char** argv) {
  warren::enter(argc, argv);
  testing::InitGoogleMock(&argc, argv);
  return RUN_ALL_TESTS();
}
