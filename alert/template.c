#include "alert/template.h"
