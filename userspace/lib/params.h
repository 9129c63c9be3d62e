// SPDX-License-Identifier: MIT
// Translates between Geometry, which speaks bytes, and the parameters of the driver.
#ifndef UBLK_LIB_PARAMS_H
#define UBLK_LIB_PARAMS_H

#include <ublk/geometry.h>

#include "uapi.h"

namespace ublk {

ublk_params to_params(const Geometry& geometry);
Geometry from_params(const ublk_params& params);

} // namespace ublk

#endif
