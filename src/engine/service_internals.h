// The way past Service's public interface, for tests: a service on any backend.
#pragma once

#include <memory>

#include "engine/runner.h"
#include "engine/service.h"

namespace quern {

struct ServiceInternals {
  static Result<std::unique_ptr<Service>> create(const ServiceOptions& options, const BackendFactory& make_backend,
                                                 std::shared_ptr<ServiceObserver> observer = {});
};

}  // namespace quern
