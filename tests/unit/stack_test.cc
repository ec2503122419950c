// What only a stack does: its order. What it shares with a priority queue: locked_slots_test.cc.
#include <warren/ipc/stack.h>

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "support/resources.h"

namespace warren {
namespace {

TEST(Stack, LastInFirstOut) {
  auto stack = Stack<int>::create({.capacity = 3}).value();
  ASSERT_TRUE(stack.push(1) && stack.push(2));
  EXPECT_EQ(stack.pop(), 2);
  ASSERT_TRUE(stack.push(3) && stack.push(4));
  EXPECT_FALSE(stack.try_push(5));
  EXPECT_EQ(stack.pop(), 4);
  EXPECT_EQ(stack.pop(), 3);
  EXPECT_EQ(stack.pop(), 1);
  EXPECT_EQ(stack.try_pop(), std::nullopt);
}

TEST(Stack, IsWhatAModelSays) {
  std::mt19937 random(7);
  for (const std::size_t capacity : {1u, 2u, 7u, 500u}) {
    auto stack = Stack<std::string>::create({.capacity = capacity}).value();
    std::vector<std::string> model;
    for (int i = 0; i < 1000; ++i) {
      if (random() % 2 != 0) {
        std::string text(random() % 300, static_cast<char>('a' + i % 26));
        ASSERT_EQ(stack.try_push(text), model.size() < capacity);
        if (model.size() < capacity) model.push_back(std::move(text));
      } else {
        ASSERT_EQ(stack.try_pop(), model.empty() ? std::nullopt : std::optional(model.back()));
        if (!model.empty()) model.pop_back();
      }
    }
  }
}

}  // namespace
}  // namespace warren
