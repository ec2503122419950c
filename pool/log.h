// For our own sources: logger(), and the type of what it gives.
#pragma once
#include <spdlog/logger.h>
#include <warren/pool/log.h>
