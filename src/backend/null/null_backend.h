// The null backend: no arithmetic, but true bookkeeping, so that engine, scheduler and server can be tested without the
// cost of a model. The file's weights are not read.
//
// Where keys would be stored it stores the token's id, and the "logits" of a token are 1 for null_next_token of all ids
// that attention finds in its sequence's pages, 0 elsewhere. Text is therefore predictable from the prompt alone, and a
// page that was lost, mixed up or copied too late changes it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "backend/backend.h"

namespace quern {

std::unique_ptr<Backend> make_null_backend();

// What greedy decoding on a null backend appends to `ids`.
int32_t null_next_token(std::span<const int32_t> ids, size_t n_vocab);

}  // namespace quern
