// A letter that its postman does not live to deliver goes to the next one, and none gets lost; one that kills whoever
// takes it is set aside.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>
#include <warren/ipc/queue.h>

#include <iostream>
#include <string>

int carry(warren::Queue<std::string> letters, warren::Queue<std::string> delivered) {
  while (auto letter = letters.lease()) {
    if (letter.attempt() > 2) {
      delivered.push("returned to sender: " + *letter);
    } else {
      if (letter->find("dog") != std::string::npos) kill(getpid(), SIGKILL);
      delivered.push(*letter);
    }
    letter.ack();  // not before it is done: who dies first has not delivered it
  }
  return 0;
}

int main() {
  auto letters = warren::Queue<std::string>::create({.capacity = 16}).value();
  auto delivered = warren::Queue<std::string>::create({.capacity = 16}).value();
  for (const char* to : {"Ann", "Bob, beware of the dog", "Cid"}) letters.push(to);
  letters.close();
  for (int postman = 0; postman < 3; ++postman) {
    const pid_t child = fork();
    if (child == 0) _exit(carry(letters, delivered));
    waitpid(child, nullptr, 0);
  }
  delivered.close();
  int count = 0;
  while (auto line = delivered.pop()) std::cout << *line << '\n', ++count;
  return letters.drained() && count == 3 ? 0 : 1;
}
